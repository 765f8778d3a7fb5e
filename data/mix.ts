// Mixing: samples of a batch are blended in pairs, and so are their labels.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { type Random, random } from '../base/random.ts'
import { lengthOf } from '../base/samples.ts'
import { beta } from './beta.ts'
import type { Mix } from './dataset.ts'
import type { Varied } from './varied.ts'

const alpha = z.number().positive().max(100)

const mixing = (standard: number, what: string) =>
  z
    .union(
      [
        z.number().min(0).max(100),
        z.strictObject({
          alpha: alpha
            .default(standard)
            .describe('Shares are drawn from Beta(alpha, alpha): small ones mix little.'),
          probability: z
            .number()
            .min(0)
            .max(1)
            .optional()
            .describe('Share of the batches, 0..1: all of them, or half where both forms mix.'),
        }),
      ],
      { error: `expected alpha as a number, or 'alpha' and 'probability'` },
    )
    .optional()
    .describe(what)

/** Schemas of the options that mix samples. */
export const mixOptions = {
  mixup: mixing(0.2, 'Blends samples in pairs, labels too; the number is alpha, 0 for none.'),
  cutmix: mixing(1, 'Swaps a rectangle between two samples, labels by area; see mixup.'),
} as const

/** Options that mix samples. */
export type MixOptions = { readonly [Name in keyof typeof mixOptions]?: z.output<MixSchema<Name>> }
type MixSchema<Name extends keyof typeof mixOptions> = (typeof mixOptions)[Name]

interface Mixing {
  readonly alpha: number
  /** Share of the batches that are mixed in this form. */
  readonly probability: number
}

/** How often a batch is mixed in which form; `undefined` where none is. */
export function mixProbabilities(
  options: MixOptions,
): { readonly mixup: Mixing; readonly cutmix: Mixing } | undefined {
  const [mixup, cutmix] = [options.mixup ?? 0, options.cutmix ?? 0].map((option) =>
    typeof option === 'number' ? { alpha: option, probability: undefined } : option,
  )
  const [first, second] = shares(asked(mixup!), asked(cutmix!))
  if (first === 0 && second === 0) return undefined
  return {
    mixup: { alpha: mixup!.alpha, probability: first },
    cutmix: { alpha: cutmix!.alpha, probability: second },
  }
}

/** The probability that is asked for: 0 where a form is not used, `undefined` where none is named. */
const asked = ({ alpha, probability }: { alpha: number; probability?: number | undefined }) =>
  alpha === 0 ? 0 : probability

/** What is not named takes what the other leaves, or half. */
function shares(first: number | undefined, second: number | undefined): [number, number] {
  if (first === undefined && second === undefined) return [0.5, 0.5]
  return [first ?? 1 - second!, second ?? 1 - first!]
}

/** Where a batch lies that is mixed. */
interface Mixed {
  /** `[labels.length, ...shape]`, changed in place. */
  readonly inputs: Float32Array
  readonly labels: Int32Array
  /** The target numbers, `[labels.length, width]`, blended as the samples are; empty where labels are all. */
  readonly targets: Float32Array
}

/**
 * Makes a function that mixes the samples of a batch in pairs, in place, and says how their labels
 * are to be mixed; it gives `undefined` for a batch that stays.
 *
 * Mixup blends `share · own + (1 - share) · other` (Zhang et al. 2018, equation 1); cutmix puts a
 * rectangle of `1 - share` of the area in the place of the same one (Yun et al. 2019, section 3.1).
 * The pairs, one form and one share a batch depend on seed, epoch and number alone.
 *
 * Gives `undefined` where the options mix nothing; cutmix of what are not images is a {@link UserError}.
 */
export function mixer(
  { shape }: Pick<Varied, 'shape'>,
  options: MixOptions,
  seed: number,
): ((batch: Mixed, epoch: number, number: number) => Mix | undefined) | undefined {
  const probabilities = mixProbabilities(options)
  if (!probabilities) return undefined
  const { mixup, cutmix } = probabilities
  if (cutmix.probability > 0 && shape.length !== 3)
    throw new UserError(
      `augment.cutmix: needs images [C, H, W]: samples are [${shape}] — leave it out`,
    )
  const values = lengthOf(shape)
  return ({ inputs, labels, targets }, epoch, number) => {
    const source = random(seed, 'mix', epoch, number)
    const form = source.uniform()
    const others = pairs(labels.length, source)
    let share: number
    if (form < mixup.probability) {
      share = beta(source, mixup.alpha, mixup.alpha)
      eachPair(others, (first, second) =>
        blend(inputs, first * values, second * values, values, share),
      )
    } else if (form < mixup.probability + cutmix.probability) {
      const [channels, height, width] = shape as readonly [number, number, number]
      const box = boxOf(height, width, beta(source, cutmix.alpha, cutmix.alpha), source)
      share = 1 - ((box.bottom - box.top) * (box.right - box.left)) / (height * width)
      eachPair(others, (first, second) => {
        for (let channel = 0; channel < channels; channel++)
          for (let row = box.top; row < box.bottom; row++) {
            const start = (channel * height + row) * width + box.left
            const count = box.right - box.left
            swap(inputs, first * values + start, second * values + start, count)
          }
      })
    } else return undefined
    const width = targets.length / labels.length
    eachPair(others, (first, second) => blend(targets, first * width, second * width, width, share))
    return {
      partners: Int32Array.from(others, (other) => labels[other]!),
      shares: new Float32Array(labels.length).fill(share),
    }
  }
}

/** The other one of each sample; one that is left over is its own. */
function pairs(count: number, source: Random): Uint32Array {
  const order = source.permutation(count)
  const others = Uint32Array.from(order.keys())
  for (let place = 0; place + 1 < count; place += 2) {
    others[order[place]!] = order[place + 1]!
    others[order[place + 1]!] = order[place]!
  }
  return others
}

function eachPair(others: Uint32Array, change: (first: number, second: number) => void): void {
  for (let first = 0; first < others.length; first++)
    if (others[first]! > first) change(first, others[first]!)
}

function blend(inputs: Float32Array, first: number, second: number, count: number, share: number) {
  for (let at = 0; at < count; at++) {
    const [own, other] = [inputs[first + at]!, inputs[second + at]!]
    inputs[first + at] = share * own + (1 - share) * other
    inputs[second + at] = share * other + (1 - share) * own
  }
}

function swap(inputs: Float32Array, first: number, second: number, count: number): void {
  for (let at = 0; at < count; at++) {
    const kept = inputs[first + at]!
    inputs[first + at] = inputs[second + at]!
    inputs[second + at] = kept
  }
}

/** A rectangle of `1 - share` of the area around a random middle, cut off at the edges. */
function boxOf(height: number, width: number, share: number, source: Random) {
  const side = Math.sqrt(1 - share)
  const [middleY, middleX] = [source.integer(height), source.integer(width)]
  const [halfHeight, halfWidth] = [Math.floor((height * side) / 2), Math.floor((width * side) / 2)]
  return {
    top: Math.max(middleY - halfHeight, 0),
    bottom: Math.min(middleY + halfHeight, height),
    left: Math.max(middleX - halfWidth, 0),
    right: Math.min(middleX + halfWidth, width),
  }
}
