// The splits: validation is held out of the training data by seed, calibration is a part of the
// training data.
import { UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { Splits } from './dataset.ts'
import { hashed, imageDataset } from './images.ts'
import { type PreprocessOptions, preprocessing } from './preprocess.ts'
import type { RawData } from './readers/reader.ts'
import { stratifiedOrder } from './stratify.ts'

/** How a data set is split. */
export interface SplitOptions {
  /** Decides which training samples are held out. */
  readonly seed: number
  readonly preprocess: PreprocessOptions
  /** Share of the training data held out for validation, above 0 and below 1. */
  readonly validation?: number
  /** At most so many training samples for calibration. */
  readonly calibration?: number
  /** At most so many training samples in all, chosen by seed. */
  readonly trainLimit?: number | undefined
  /** At most so many test samples, the first ones. */
  readonly testLimit?: number | undefined
}

/**
 * Splits a data set; validation and calibration hold the classes in their proportions.
 *
 * The same data, options and seed give the same splits. Too few training samples are a {@link
 * UserError}.
 */
export function split(source: string, raw: RawData, options: SplitOptions): Splits {
  const { seed, validation = 0.1, calibration = 512, trainLimit, testLimit } = options
  const { labels } = raw.train
  const chosen = random(seed, 'data', 'limit').permutation(labels.length).subarray(0, trainLimit)
  const order = stratifiedOrder(labels, chosen, random(seed, 'data', 'validation'))
  const heldOut = Math.max(1, Math.round(order.length * validation))
  if (heldOut >= order.length)
    throw new UserError(
      `data: too few training samples to hold ${heldOut} out for validation: ${order.length} — use more data or a smaller 'validation'`,
    )
  const train = order.slice(heldOut).sort()
  const calibrationOrder = stratifiedOrder(labels, train, random(seed, 'data', 'calibration'))
  const ready = preprocessing(raw.shape, options.preprocess)
  const training = hashed(raw.train)
  const of = (part: typeof training, indices: Uint32Array) =>
    imageDataset({ source, part, indices, classes: raw.classes, preprocessing: ready })
  return {
    train: of(training, train),
    validation: of(training, order.slice(0, heldOut).sort()),
    calibration: of(training, calibrationOrder.slice(0, calibration)),
    test: of(hashed(raw.test), Uint32Array.from(raw.test.labels.keys()).subarray(0, testLimit)),
  }
}
