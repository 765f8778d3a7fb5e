// Options that several architectures have, and what they mean.
import { z } from 'zod'

/** A probability of Dropout; each architecture says what is dropped. */
export const dropoutRatio = z.number().min(0).lt(1).default(0)

/** A factor of all channel counts. */
export const widthFactor = z.number().positive().max(16).default(1)

/** So many, at least one. */
export const scaled = (channels: number, width: number): number =>
  Math.max(1, Math.round(channels * width))

/** The total stride of a net for images: a power of two, or `auto`. */
export const totalStride = z
  .union([z.literal('auto'), ...([1, 2, 4, 8, 16, 32] as const).map((each) => z.literal(each))])
  .default('auto')
  .describe(
    'How many times smaller the last feature map is than the image; auto: 32 as published, less where the map would have fewer than 3 rows or columns (8 for 32x32).',
  )

/**
 * The strides of layers in order, of which the first ones are left out until their product is the total one.
 *
 * The first, because small images have no resolution to lose where layers look at little of them.
 */
export function stridesWithin(
  strides: readonly number[],
  total: z.output<typeof totalStride>,
  sides: readonly number[],
): number[] {
  const side = Math.min(...sides)
  const most = strides.reduce((product, stride) => product * stride, 1)
  let left = total === 'auto' ? most : Math.min(total, most)
  if (total === 'auto') while (left > 1 && side / left < 3) left /= 2
  const kept = [...strides]
  for (let index = kept.length - 1; index >= 0; index--) {
    if (left < kept[index]!) kept[index] = 1
    else left /= kept[index]!
  }
  return kept
}

/**
 * A channel count as a multiple of 8, by at most a tenth less than it was (of the MobileNets' published code).
 */
export function roundChannels(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8)
  return rounded < 0.9 * channels ? rounded + 8 : rounded
}
