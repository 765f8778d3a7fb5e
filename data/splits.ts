// The splits: validation is held out of the training data by seed, calibration is a part of the
// training data, and test is a part of its own, or held out for good.
import { UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import { stratifiedOrder } from './stratify.ts'

/** How training data is split. */
export interface SplitOptions {
  /** Decides which training samples are held out. */
  readonly seed: number
  /** Share of the training data held out for validation, above 0 and below 1; none where there is such a part. */
  readonly validation?: number | undefined
  /** At most so many training samples for calibration. */
  readonly calibration?: number
  /** At most so many training samples in all, chosen by seed. */
  readonly limit?: number | undefined
  /** So many consecutive samples belong together. */
  readonly group?: number
}

/** Which samples of the training part are in which split. */
export interface SplitIndices {
  readonly train: Uint32Array
  readonly validation: Uint32Array
  readonly calibration: Uint32Array
}

/**
 * Splits the samples of a training part by their labels; validation and calibration hold the classes in their
 * proportions, and samples that belong together stay together.
 *
 * The same labels, options and seed give the same splits. Too few samples are a {@link UserError}.
 */
export function splitIndices(
  labels: Int32Array,
  available: Uint32Array,
  { seed, validation, calibration = 512, limit, group = 1 }: SplitOptions,
): SplitIndices {
  const groups = firstOfGroups(available, group)
  const allowed = limit === undefined ? undefined : Math.max(1, Math.floor(limit / group))
  const chosen = random(seed, 'data', 'limit')
    .permutation(groups.length)
    .map((place) => groups[place]!)
    .subarray(0, allowed)
  const order = stratifiedOrder(labels, chosen, random(seed, 'data', 'validation'))
  const heldOut = validation === undefined ? 0 : Math.max(1, Math.round(order.length * validation))
  if (heldOut >= order.length)
    throw new UserError(
      `data: too few training samples to hold ${heldOut} out for validation: ${order.length} — use more data or a smaller 'validation'`,
    )
  const train = order.slice(heldOut).sort()
  const calibrationOrder = stratifiedOrder(labels, train, random(seed, 'data', 'calibration'))
  const whole = (starts: Uint32Array) => membersOf(starts, group)
  return {
    train: whole(train),
    validation: whole(order.slice(0, heldOut).sort()),
    calibration: whole(calibrationOrder.slice(0, Math.max(1, Math.floor(calibration / group)))),
  }
}

/** A share of the samples that is the test part for good, whatever the recipe's seed; in the order of the file. */
export function holdOut(
  labels: Int32Array,
  share: number,
  group: number,
): { readonly test: Uint32Array; readonly rest: Uint32Array } {
  const all = Uint32Array.from(labels.keys())
  const order = stratifiedOrder(labels, firstOfGroups(all, group), random(0, 'data', 'test'))
  const count = Math.min(order.length - 1, Math.max(1, Math.round(order.length * share)))
  return {
    test: membersOf(order.slice(0, count).sort(), group),
    rest: membersOf(order.slice(count).sort(), group),
  }
}

const firstOfGroups = (indices: Uint32Array, group: number): Uint32Array =>
  group === 1 ? indices : indices.filter((index) => index % group === 0)

const membersOf = (starts: Uint32Array, group: number): Uint32Array =>
  group === 1
    ? starts
    : Uint32Array.from(
        { length: starts.length * group },
        (_, place) => starts[Math.floor(place / group)]! + (place % group),
      )
