// Images that a format keeps as bytes in planes: small enough to be read at once.
import type { Part, TableColumn } from '../table.ts'
import type { ImageShape } from './reader.ts'

/** The columns of such formats. */
export const imageColumns: readonly TableColumn[] = [
  { name: 'image', type: 'tensor' },
  { name: 'label', type: 'number' },
]

/** The rows of images that lie one after the other, `[labels.length, C, H, W]`; they are read with the first row. */
export function imageRows(
  where: string,
  shape: ImageShape,
  labels: ArrayLike<number>,
  read: () => Promise<Uint8Array>,
): Part {
  const bytes = shape[0] * shape[1] * shape[2]
  let content: Promise<Uint8Array> | undefined
  return {
    where,
    whereOf: (row) => `${where}: image ${row}`,
    size: labels.length,
    async *rows() {
      content ??= read()
      const all = await content
      for (let row = 0; row < labels.length; row++)
        yield [{ shape, values: all.subarray(row * bytes, (row + 1) * bytes) }, labels[row]!]
    },
  }
}
