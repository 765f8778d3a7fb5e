// Augmentation: seeded changes of training images, in place on the preprocessed values. Those of
// this table change one image and keep its class; those in mix.ts blend two.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Augmentation } from './augmentations/augmentation.ts'
import { colorJitter, grayscale, noise } from './augmentations/colours.ts'
import { erasing } from './augmentations/erasing.ts'
import { crop, flip, shift, verticalFlip } from './augmentations/moves.ts'
import { resizedCrop, rotate } from './augmentations/warps.ts'
import { mixOptions, mixProbabilities } from './mix.ts'
import type { Varied } from './varied.ts'

/** Augmentation by the name of its option; they act in this order. */
export const augmentations = {
  flip,
  shift,
  verticalFlip,
  crop,
  resizedCrop,
  rotate,
  colorJitter,
  grayscale,
  noise,
  erasing,
} as const

type Rows = typeof augmentations

/** Schema of `augment`. */
export const augmentOptions = z
  .strictObject({
    ...(Object.fromEntries(
      Object.entries(augmentations).map(([name, { option }]) => [name, option.optional()]),
      // The loss of names is fromEntries' own.
    ) as { [Name in keyof Rows]: z.ZodOptional<Rows[Name]['option']> }),
    ...mixOptions,
  })
  .superRefine((options, context) => {
    const mixed = mixProbabilities(options)
    if (mixed && mixed.mixup.probability + mixed.cutmix.probability > 1)
      context.addIssue({
        code: 'custom',
        path: ['cutmix', 'probability'],
        message: `adds up with that of mixup to more than 1: ${mixed.mixup.probability} and ${mixed.cutmix.probability}`,
      })
  })
  .describe('Random changes of training samples.')

/** Options of `augment`. */
export type AugmentOptions = z.output<typeof augmentOptions>

interface Active {
  readonly row: Augmentation
  readonly settings: unknown
}

/** The augmentations of single images that these options ask for. */
function activeIn(options: AugmentOptions): Active[] {
  return Object.entries(augmentations as Record<string, Augmentation>).flatMap(([name, row]) => {
    const option = options[name as keyof Rows]
    const settings = option === undefined ? undefined : row.settings(option)
    return settings === undefined ? [] : [{ row, settings }]
  })
}

/** Whether these options change any sample, by itself or by mixing it with another. */
export function changesSamples(options: AugmentOptions | undefined): boolean {
  return options !== undefined && (activeIn(options).length > 0 || !!mixProbabilities(options))
}

/**
 * Makes a function that changes the image at `offset` of `values` in place.
 *
 * Gives `undefined` where the options change no single image. Samples that are not images, and
 * options that do not fit them (as a shift out of the image), are a {@link UserError}.
 */
export function augmenter(
  { shape, background, white }: Pick<Varied, 'shape' | 'background' | 'white'>,
  options: AugmentOptions,
): ((values: Float32Array, offset: number, random: Random) => void) | undefined {
  const active = activeIn(options)
  if (active.length === 0) return undefined
  const [channels, height, width] = shape
  if (shape.length !== 3 || channels === undefined || height === undefined || width === undefined)
    throw new UserError(`augment: needs images [C, H, W]: samples are [${shape}] — leave it out`)
  const facts = {
    ...{ channels, height, width },
    background: background ?? new Float32Array(channels),
    white: white ?? new Float32Array(channels).fill(1),
  }
  for (const { row, settings } of active) row.check?.(settings, facts)
  const scratch = new Float32Array(channels * height * width)
  return (values, offset, random) => {
    const image = { ...facts, values, offset, scratch }
    for (const { row, settings } of active) row.apply(image, settings, random)
  }
}
