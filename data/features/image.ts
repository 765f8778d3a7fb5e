// Images: files, paths or encoded bytes become bytes in planes, `[C, H, W]`.
import { resolve } from 'node:path'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { DamagedError } from '../damaged.ts'
import { readCell } from '../images/cell.ts'
import { decode, failures, sizeOfImage } from '../images/decode.ts'
import { fitOptions, fitted, fittedSize, type Size, settledSize, sizeText } from '../images/fit.ts'
import { alphaRules, withChannels, writePlanes } from '../images/pixels.ts'
import type { Row } from '../table.ts'
import { columnNamed } from './columns.ts'
import { columnAt, defineFeature, type FeatureContext } from './feature.ts'

/** Schema of a feature of kind `image`. */
export const imageOptions = z.strictObject({
  kind: z.literal('image'),
  column: z
    .string()
    .min(1)
    .default('image')
    .describe('The column with the images: files, paths, or the bytes of files.'),
  folder: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The folder that paths in cells are relative to, itself relative to the table's, which it is unless given.",
    ),
  channels: z
    .union([z.literal(1), z.literal(3)])
    .default(3)
    .describe('1 makes images grey, 3 makes them red, green and blue.'),
  alpha: z
    .enum(alphaRules)
    .default('drop')
    .describe("What becomes of transparency: dropped as by Pillow's convert, or laid on a colour."),
  orient: z
    .boolean()
    .default(false)
    .describe('Turn images as their EXIF data tells; torchvision and Hugging Face do not.'),
  ...fitOptions,
  failOn: z
    .enum(failures)
    .default('warning')
    .describe('How much damage makes an image unusable; each refuses more than those before it.'),
  maximumPixels: z
    .int()
    .min(1)
    .max(2 ** 30)
    .default(2 ** 26)
    .describe('Images of more pixels are refused before memory is set aside for them.'),
})

/** Resolved options of a feature of kind `image`. */
export type ImageOptions = z.output<typeof imageOptions>

/** The size of all images, where no policy settles it. */
export type ImageSize = { readonly height: number; readonly width: number } | null

const policies =
  'give a policy: resize: [height, width], or resize with centerCrop, letterbox or pad'

/** Decodes images and makes them one size; what is learned is that size, where no policy settles it. */
export const image = defineFeature<typeof imageOptions, ImageSize>({
  summary: 'Images from files, paths or bytes, resized, cut and padded',
  options: imageOptions,
  columns(options, context) {
    cellsOf(options, context)
    return [options.column]
  },
  learn(options, context) {
    const { column, cell } = cellsOf(options, context)
    let first: { readonly name: string; readonly from: Size; readonly size: Size } | undefined
    let mixed: UserError | undefined
    return {
      async observe(row) {
        if (settledSize(options) || mixed) return
        const { bytes, name } = await readCell(row[column]!, cell)
        const from = await sizeOfImage(bytes, name, options)
        const size = fittedSize(options, from)
        first ??= { name, from, size }
        if (size[0] === first.size[0] && size[1] === first.size[1]) return
        mixed = new UserError(
          `column '${options.column}': images of several sizes: ${first.name} has ${sizeText(first.from)}, ${name} has ${sizeText(from)} — ${policies}`,
        )
        throw mixed
      },
      finish() {
        // Where damaged rows are skipped, this one was; but it is not the row that is wrong.
        if (mixed) throw mixed
        return first ? { height: first.size[0], width: first.size[1] } : null
      },
    }
  },
  prepare(options, learned, context) {
    const size = settledSize(options) ?? (learned && ([learned.height, learned.width] as const))
    if (!size)
      throw new UserError(
        `column '${options.column}': the size of the images is not known: no training sample could be read — use damaged: refuse to see why`,
      )
    const { channels } = options
    if (typeof options.fill !== 'number' && options.fill.length !== channels)
      throw new UserError(
        `column '${options.column}': fill: the images have ${channels} channels: ${options.fill.length} values — give one number, or one for each channel`,
      )
    const read = pictureReader(options, context)
    return {
      outputs: [{ suffix: '', dtype: 'uint8', shape: [channels, ...size] }],
      async encode(row, [into]) {
        const { picture, decoded, name } = await read(row)
        if (picture.height !== size[0] || picture.width !== size[1])
          throw new DamagedError(
            `${name}: has another size than the training images: ${sizeText([decoded.height, decoded.width])} where they have ${sizeText(size)} — ${policies}`,
          )
        writePlanes(picture, into as Uint8Array)
      },
    }
  },
  show(options, _learned, context) {
    const read = pictureReader(options, context)
    return async (row) => ({ kind: 'image', pixels: (await read(row)).picture })
  },
})

/** Reads the picture of a row, and makes it fit. */
function pictureReader(options: ImageOptions, context: FeatureContext) {
  const { column, cell } = cellsOf(options, context)
  const { channels, alpha, maximumPixels } = options
  return async (row: Row) => {
    const { bytes, name } = await readCell(row[column]!, cell)
    const decoded = withChannels(await decode(bytes, name, options), channels, alpha)
    return { decoded, picture: fitted(decoded, options, name, maximumPixels), name }
  }
}

function cellsOf({ column, folder }: ImageOptions, { columns, ...context }: FeatureContext) {
  columnNamed(columns, column, ['file', 'text', 'bytes'])
  const base = folder === undefined ? context.folder : resolve(context.folder ?? '.', folder)
  return { column: columnAt(columns, column), cell: { column, folder: base } }
}
