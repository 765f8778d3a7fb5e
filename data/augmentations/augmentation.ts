// What an augmentation is: an option of `augment`, and a change of one image in place.
import type { z } from 'zod'
import type { Random } from '../../base/random.ts'

/** Facts that all images of a data set share. */
export interface ImageFacts {
  readonly channels: number
  readonly height: number
  readonly width: number
  /** The value of an empty (black) pixel of each channel. */
  readonly background: Float32Array
  /** The value of a full (white) pixel of each channel. */
  readonly white: Float32Array
}

/** One preprocessed image `[C, H, W]` inside a batch, from `offset` on. */
export interface Image extends ImageFacts {
  readonly values: Float32Array
  readonly offset: number
  /** As large as the image, for what cannot be done in place; its content is of no meaning. */
  readonly scratch: Float32Array
}

/** One row of the table of augmentations. */
export interface Augmentation<Option extends z.ZodType = z.ZodType, Settings = unknown> {
  /** Schema of its option. */
  readonly option: Option
  /** What the option means; `undefined` where it changes nothing. */
  settings(option: z.output<Option>): Settings | undefined
  /** Refuses what does not fit the images with a `UserError`. */
  check?(settings: Settings, facts: ImageFacts): void
  /** Changes an image in place; asks the random numbers that it needs of `random` alone. */
  apply(image: Image, settings: Settings, random: Random): void
}

/** The identity; it exists so that a row's functions see the types of its option and settings. */
export function defineAugmentation<Option extends z.ZodType, Settings>(
  row: Augmentation<Option, Settings>,
): Augmentation<Option, Settings> {
  return row
}

/** A number in [low, high). */
export const between = (random: Random, low: number, high: number): number =>
  low + (high - low) * random.uniform()

/** A copy of the image in its scratch memory, which the image can then be written from. */
export function copyOf({ values, offset, scratch }: Image): Float32Array {
  scratch.set(values.subarray(offset, offset + scratch.length))
  return scratch
}
