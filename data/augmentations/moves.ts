// Augmentations that move whole pixels: mirroring, shifting, cropping after padding.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { copyOf, defineAugmentation, type Image, type ImageFacts } from './augmentation.ts'
import { probability, probabilityOf } from './options.ts'

/** Mirrors left and right. */
export const flip = defineAugmentation({
  option: probability.describe('Mirrors left and right with this probability, 0..1; true is 0.5.'),
  settings: probabilityOf,
  apply({ values, offset, channels, height, width }, often, random) {
    if (random.uniform() >= often) return
    const end = offset + channels * height * width
    for (let row = offset; row < end; row += width) values.subarray(row, row + width).reverse()
  },
})

/** Mirrors top and bottom. */
export const verticalFlip = defineAugmentation({
  option: probability.describe('Mirrors top and bottom with this probability, 0..1; true is 0.5.'),
  settings: probabilityOf,
  apply(image, often, random) {
    if (random.uniform() >= often) return
    const { values, offset, channels, height, width } = image
    const from = copyOf(image)
    for (let row = 0; row < channels * height; row++) {
      const mirrored = row - (row % height) + height - 1 - (row % height)
      const start = mirrored * width
      values.set(from.subarray(start, start + width), offset + row * width)
    }
  },
})

/** Moves by whole pixels and fills with black. */
export const shift = defineAugmentation({
  option: z
    .int()
    .min(0)
    .max(1024)
    .describe('Moves by up to this many pixels along both axes; what comes in is black.'),
  settings: (pixels) => pixels || undefined,
  check: (pixels, facts) => checkPixels('augment.shift', pixels, facts),
  apply(image, pixels, random) {
    const [down, right] = move(pixels, random)
    moveBy(image, down, right)
  },
})

const paddingModes = ['constant', 'edge', 'reflect', 'symmetric'] as const

const cropPadding = z.int().min(0).max(1024)

/** A part of the size of the image, out of the padded image. */
export const crop = defineAugmentation({
  option: z
    .union(
      [
        cropPadding,
        z.strictObject({
          padding: cropPadding.default(4).describe('Pixels added on each side.'),
          mode: z
            .enum(paddingModes)
            .default('constant')
            .describe('What they are: black, the pixel at the edge, or the image mirrored.'),
        }),
      ],
      { error: `expected a number of pixels, or 'padding' and 'mode'` },
    )
    .describe('Pads by so many pixels on each side and cuts out a part of the former size.'),
  settings(option) {
    const { padding, mode } =
      typeof option === 'number' ? { padding: option, mode: 'constant' as const } : option
    return padding === 0 ? undefined : { padding, mode }
  },
  check: ({ padding }, facts) => checkPixels('augment.crop', padding, facts),
  apply(image, { padding, mode }, random) {
    const [down, right] = move(padding, random)
    if (mode === 'constant') moveBy(image, down, right)
    else {
      const { values, offset, channels, height, width } = image
      const from = copyOf(image)
      const rows = Int32Array.from({ length: height }, (_, y) => inside(y - down, height, mode))
      const columns = Int32Array.from({ length: width }, (_, x) => inside(x - right, width, mode))
      let to = offset
      for (let channel = 0; channel < channels; channel++)
        for (let y = 0; y < height; y++) {
          const row = (channel * height + rows[y]!) * width
          for (let x = 0; x < width; x++) values[to++] = from[row + columns[x]!]!
        }
    }
  },
})

/** Where a position outside of `0 … length-1`, by less than `length`, is looked up. */
function inside(
  at: number,
  length: number,
  mode: Exclude<(typeof paddingModes)[number], 'constant'>,
) {
  const last = length - 1
  if (mode === 'edge') return Math.min(Math.max(at, 0), last)
  // 'reflect' leaves out the pixel at the edge, 'symmetric' repeats it.
  const edge = mode === 'reflect' ? 0 : 1
  return at < 0 ? -at - edge : at > last ? 2 * last - at + edge : at
}

function checkPixels(where: string, pixels: number, { height, width }: ImageFacts): void {
  if (pixels >= Math.min(height, width))
    throw new UserError(
      `${where}: as far as the image is wide, ${height} x ${width}: ${pixels} — use a smaller one`,
    )
}

function move(pixels: number, random: Random): readonly [down: number, right: number] {
  const down = random.integer(2 * pixels + 1) - pixels
  return [down, random.integer(2 * pixels + 1) - pixels]
}

function moveBy(image: Image, down: number, right: number): void {
  const { values, offset, channels, height, width, background } = image
  if (down === 0 && right === 0) return
  const plane = height * width
  // Positive: values move towards higher addresses, as Array.copyWithin allows in place.
  const distance = down * width + right
  for (let channel = 0; channel < channels; channel++) {
    const start = offset + channel * plane
    const empty = background[channel]!
    values.copyWithin(
      start + Math.max(distance, 0),
      start + Math.max(-distance, 0),
      start + plane - Math.max(distance, 0),
    )
    // What wrapped around a side, and what came in from above or below, is empty.
    if (right !== 0)
      for (let row = start; row < start + plane; row += width)
        values.fill(
          empty,
          right > 0 ? row : row + width + right,
          right > 0 ? row + right : row + width,
        )
    if (down > 0) values.fill(empty, start, start + down * width)
    if (down < 0) values.fill(empty, start + plane + down * width, start + plane)
  }
}
