// Pictures of any size made one size, by policies named as torchvision names its transforms.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { onCanvas, type Pixels } from './pixels.ts'
import { type Interpolation, interpolations, resample } from './resample.ts'

/** Height and width in pixels. */
export type Size = readonly [height: number, width: number]

const pixels = z.int().min(1).max(16384)
const size = z.union([pixels, z.tuple([pixels, pixels])], {
  error: 'expected a number of pixels, or [height, width]',
})

/** Options of the policies; they act in this order. */
export const fitOptions = {
  resize: size
    .optional()
    .describe(
      "Resizes: a number is the length of the shorter edge (torchvision's Resize, Hugging Face's shortest_edge), [height, width] are both edges whatever the proportions.",
    ),
  letterbox: size
    .optional()
    .describe(
      'Resizes to fit inside a square or [height, width], keeping proportions, and fills the rest: for detectors.',
    ),
  centerCrop: size
    .optional()
    .describe(
      "Cuts the middle out, a square or [height, width] (torchvision's CenterCrop, Hugging Face's crop_size); what is smaller gets a border.",
    ),
  pad: size
    .optional()
    .describe('Adds a border up to a square or [height, width]; what is larger is refused.'),
  interpolation: z
    .enum(interpolations)
    .default('bilinear')
    .describe(
      "How to resize, to the bit as Pillow does, with antialiasing; torchvision's default is bilinear.",
    ),
  fill: z
    .union([byte(), z.array(byte()).min(1).max(3)], {
      error: 'expected a byte 0..255, or a list with one for each channel',
    })
    .default(0)
    .describe('Colour of borders: one byte, or one for each channel.'),
  place: z
    .enum(['center', 'top-left'])
    .default('center')
    .describe('Where letterbox and pad put the picture.'),
}

function byte() {
  return z.int().min(0).max(255)
}

/** Resolved options of the policies. */
export interface FitOptions {
  readonly resize?: number | Size | undefined
  readonly letterbox?: number | Size | undefined
  readonly centerCrop?: number | Size | undefined
  readonly pad?: number | Size | undefined
  readonly interpolation: Interpolation
  readonly fill: number | readonly number[]
  readonly place: 'center' | 'top-left'
}

/** What people call a size: `480 x 640 pixels`. */
export const sizeText = ([height, width]: Size): string => `${height} x ${width} pixels`

/** The size that pictures of every size get; undefined where it depends on the picture's own. */
export function settledSize({ resize, letterbox, centerCrop, pad }: FitOptions): Size | undefined {
  const last = pad ?? centerCrop ?? letterbox
  if (last !== undefined) return pairOf(last)
  return typeof resize === 'number' ? undefined : resize
}

/** The size that a picture of some size gets. */
export function fittedSize(options: FitOptions, from: Size): Size {
  return settledSize(options) ?? resizedTo(options.resize, from)
}

/** Applies the policies; a result of more than `maximumPixels` on the way is a {@link UserError}. */
export function fitted(
  picture: Pixels,
  options: FitOptions,
  where: string,
  maximumPixels: number,
): Pixels {
  const { resize, letterbox, centerCrop, pad, interpolation, place } = options
  const fill = fillOf(options.fill, picture.channels)
  const resizeTo = (picture: Pixels, to: Size) => {
    if (to[0] * to[1] > maximumPixels)
      throw new UserError(
        `${where}: resizing gives too large an image: ${sizeText([picture.height, picture.width])} to ${sizeText(to)} — give both edges in resize`,
      )
    return resample(picture, to[0], to[1], interpolation)
  }
  let result = resizeTo(picture, resizedTo(resize, sizeOf(picture)))
  if (letterbox !== undefined) {
    const box = pairOf(letterbox)
    result = padTo(resizeTo(result, inside(box, sizeOf(result))), box, fill, place)
  }
  if (centerCrop !== undefined) result = cropTo(result, pairOf(centerCrop), fill)
  if (pad === undefined) return result
  const border = pairOf(pad)
  if (result.height > border[0] || result.width > border[1])
    throw new UserError(
      `${where}: larger than pad: ${sizeText(sizeOf(result))}, pad makes ${sizeText(border)} — give resize or letterbox besides`,
    )
  return padTo(result, border, fill, place)
}

const sizeOf = ({ height, width }: Pixels): Size => [height, width]

const pairOf = (edge: number | Size): Size => (typeof edge === 'number' ? [edge, edge] : edge)

function fillOf(fill: number | readonly number[], channels: number): readonly number[] {
  if (typeof fill === 'number') return new Array<number>(channels).fill(fill)
  if (fill.length === channels) return fill
  throw new UserError(
    `fill: the image has ${channels} channels: ${fill.length} values — give one number, or one for each channel`,
  )
}

/** The longer edge is cut to whole pixels, as torchvision and Hugging Face do. */
function resizedTo(resize: FitOptions['resize'], [height, width]: Size): Size {
  if (resize === undefined) return [height, width]
  if (typeof resize !== 'number') return resize
  return height <= width
    ? [resize, Math.trunc((resize * width) / height)]
    : [Math.trunc((resize * height) / width), resize]
}

function inside([boxHeight, boxWidth]: Size, [height, width]: Size): Size {
  const scale = Math.min(boxHeight / height, boxWidth / width)
  const edge = (length: number, box: number) =>
    Math.min(box, Math.max(1, Math.round(length * scale)))
  return [edge(height, boxHeight), edge(width, boxWidth)]
}

function padTo(
  picture: Pixels,
  [height, width]: Size,
  fill: readonly number[],
  place: FitOptions['place'],
): Pixels {
  const before = (room: number) => (place === 'center' ? Math.floor(room / 2) : 0)
  const top = before(height - picture.height)
  return onCanvas(picture, height, width, { top, left: before(width - picture.width) }, fill)
}

/** The middle as torchvision finds it: a border is larger at the end, half a pixel is rounded to the even one. */
function cropTo(picture: Pixels, [height, width]: Size, fill: readonly number[]): Pixels {
  const start = (length: number, wanted: number) =>
    length < wanted ? Math.floor((wanted - length) / 2) : -halfToEven(length - wanted)
  const top = start(picture.height, height)
  return onCanvas(picture, height, width, { top, left: start(picture.width, width) }, fill)
}

function halfToEven(length: number): number {
  const lower = Math.floor(length / 2)
  return length % 2 === 0 || lower % 2 === 0 ? lower : lower + 1
}
