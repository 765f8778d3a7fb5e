// Images that a format keeps as bytes in planes: small enough to be read at once.
import type { Part, TableColumn } from '../table.ts'
import type { ImageShape } from './reader.ts'

/** The columns of such formats. */
export const imageColumns: readonly TableColumn[] = [
  { name: 'image', type: 'tensor' },
  { name: 'label', type: 'number' },
]

/** The bytes of the image of a row, in planes. */
export type ImageOf = (row: number) => Uint8Array

/** The images that lie one after the other in some bytes. */
export function imagesIn(content: Uint8Array, [C, H, W]: ImageShape): ImageOf {
  const bytes = C * H * W
  return (row) => content.subarray(row * bytes, (row + 1) * bytes)
}

/** The rows of images `[C, H, W]`, as many as there are labels; `read` is asked for them with the first row. */
export function imageRows(
  where: string,
  shape: ImageShape,
  labels: ArrayLike<number>,
  read: () => Promise<ImageOf>,
): Part {
  let images: Promise<ImageOf> | undefined
  return {
    where,
    whereOf: (row) => `${where}: image ${row}`,
    size: labels.length,
    async *rows() {
      images ??= read()
      const imageOf = await images
      for (let row = 0; row < labels.length; row++)
        yield [{ shape, values: imageOf(row) }, labels[row]!]
    },
  }
}
