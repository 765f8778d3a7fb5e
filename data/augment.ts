// Augmentation: seeded changes of training images that keep their class, in place on the
// preprocessed values.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Dataset } from './dataset.ts'

/** One preprocessed image `[C, H, W]` inside a batch, from `offset` on. */
export interface Image {
  readonly values: Float32Array
  readonly offset: number
  readonly channels: number
  readonly height: number
  readonly width: number
  /** The value of an empty pixel of each channel. */
  readonly background: Float32Array
}

/** Changes an image in place; `amount` is the option as a number, and zero is never passed. */
type Augmentation = (image: Image, amount: number, random: Random) => void

/** Augmentation by the name of its option; they act in this order. */
export const augmentations = {
  flip(image, probability, random) {
    if (random.uniform() < probability) flip(image)
  },
  shift(image, pixels, random) {
    const down = random.integer(2 * pixels + 1) - pixels
    const right = random.integer(2 * pixels + 1) - pixels
    shift(image, down, right)
  },
} satisfies Record<string, Augmentation>

/** Schema of `augment`. */
export const augmentOptions = z
  .strictObject({
    flip: z
      .union([z.boolean(), z.number().min(0).max(1)], {
        error: 'expected true, false or a probability 0..1',
      })
      .optional()
      .describe('Mirrors left and right with this probability, 0..1; true is 0.5.'),
    shift: z
      .int()
      .min(0)
      .max(1024)
      .optional()
      .describe('Moves by up to this many pixels along both axes; what comes in is black.'),
  } satisfies Record<keyof typeof augmentations, z.ZodType>)
  .describe('Random changes of training images that keep their class.')

/** Options of `augment`. */
export type AugmentOptions = z.output<typeof augmentOptions>

/**
 * Makes a function that changes the image at `offset` of `values` in place.
 *
 * Gives `undefined` where the options change nothing. Samples that are not images, or a shift out
 * of the image, are a {@link UserError}.
 */
export function augmenter(
  { shape, background }: Pick<Dataset, 'shape' | 'background'>,
  options: AugmentOptions,
): ((values: Float32Array, offset: number, random: Random) => void) | undefined {
  const active = Object.entries(augmentations as Record<keyof AugmentOptions, Augmentation>)
    .map(([name, apply]) => ({ apply, amount: amountOf(options[name as keyof AugmentOptions]) }))
    .filter(({ amount }) => amount > 0)
  if (active.length === 0) return undefined
  const [channels, height, width] = shape
  if (shape.length !== 3 || channels === undefined || height === undefined || width === undefined)
    throw new UserError(`augment: needs images [C, H, W]: samples are [${shape}] — leave it out`)
  if ((options.shift ?? 0) >= Math.min(height, width))
    throw new UserError(
      `augment.shift: as far as the image is wide, ${height} x ${width}: ${options.shift} — use a smaller one`,
    )
  const empty = background ?? new Float32Array(channels)
  return (values, offset, random) => {
    const image = { values, offset, channels, height, width, background: empty }
    for (const { apply, amount } of active) apply(image, amount, random)
  }
}

const amountOf = (option: boolean | number | undefined): number =>
  option === true ? 0.5 : Number(option ?? 0)

function flip({ values, offset, channels, height, width }: Image): void {
  const end = offset + channels * height * width
  for (let row = offset; row < end; row += width) values.subarray(row, row + width).reverse()
}

function shift(image: Image, down: number, right: number): void {
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
