// How much of what was to be said was said: R² and errors of numbers against numbers, in parts that count alike.
import { bootstrapOf, type Contributions, contributions } from '../base/bootstrap.ts'
import type { Interval } from '../base/statistics.ts'
import { allFinite } from './predictions.ts'
import type { Predictions } from './task.ts'

/** What was found of one part: an output of a regression, or an output of a model with all its numbers. */
export interface PartErrors {
  /** 1 - Σ(y-t)² / Σ(t-mean t)²; null where the truth has no spread. */
  readonly r2: number | null
  readonly meanSquare: number
  readonly meanAbsolute: number
  readonly largest: number
  /** Greatest minus least true number. */
  readonly range: number
}

/** Numbers compared with true ones. */
export interface Explained {
  /** Mean R² of the parts; a part without spread counts as the share of samples that are exact. */
  readonly value: number
  /** Its 95 % bootstrap interval over the samples. */
  readonly interval: Interval
  readonly parts: readonly PartErrors[]
  /** Mean cosine of the angle between both, over samples and parts; null where it is nowhere defined. */
  readonly cosine: number | null
  /** Samples with numbers that are not finite; they count as guesses of the mean. */
  readonly undecided: number
  /** What {@link explainedShare} makes the value of, by sample. */
  readonly contributions: Contributions
}

/** R² of the sums of squared errors and of squared spreads, both relative to the whole spread of their part. */
export const explainedShare = (sums: Float64Array): number =>
  sums[1]! > 0 ? 1 - sums[0]! / sums[1]! : Number.NaN

/** What a part of a thing without spread may differ by and still be the same, relative to its size. */
const exact = 1e-6

/**
 * Compares predictions with true numbers of the same width, `widths` of them a part.
 *
 * `truth` gives the true numbers of a sample, in memory that the next call may reuse; samples whose true numbers are
 * not finite count as undecided and nothing else.
 */
export function explain(
  predictions: Predictions,
  truth: (sample: number) => ArrayLike<number>,
  widths: readonly number[],
): Explained {
  const { size } = predictions
  const spreads = spreadOf(size, truth, widths)
  const sums = widths.map(() => ({ squares: 0, absolutes: 0, largest: 0 }))
  const shares = contributions(size, 2)
  let [undecided, cosines, angles] = [0, 0, 0]
  for (let sample = 0; sample < size; sample++) {
    const [row, wanted] = [predictions.row(sample), truth(sample)]
    const decided = allFinite(row)
    if (!allFinite(wanted)) {
      undecided++
      continue
    }
    undecided += Number(!decided)
    let [start, error, spread] = [0, 0, 0]
    for (const [part, width] of widths.entries()) {
      const { mean, squares: whole } = spreads[part]!
      const sum = sums[part]!
      let [squares, around, both, own, theirs] = [0, 0, 0, 0, 0]
      for (let i = start; i < start + width; i++) {
        const [value, target] = [decided ? row[i]! : mean, wanted[i]!]
        const difference = value - target
        squares += difference * difference
        around += (target - mean) ** 2
        sum.absolutes += Math.abs(difference)
        sum.largest = Math.max(sum.largest, Math.abs(difference))
        both += value * target
        own += value * value
        theirs += target * target
      }
      sum.squares += squares
      const tolerance = width * (exact * Math.max(1, Math.abs(mean))) ** 2
      error += whole > 0 ? squares / whole : Number(!decided || squares > tolerance) / size
      spread += whole > 0 ? around / whole : 1 / size
      if (own > 0 && theirs > 0) {
        cosines += decided ? both / Math.sqrt(own) / Math.sqrt(theirs) : 0
        angles++
      }
      start += width
    }
    shares.add(sample, error, spread)
  }
  const { value, interval } = bootstrapOf(shares, explainedShare)
  return {
    value: Number.isFinite(value) ? value : 0,
    interval: interval.every(Number.isFinite) ? interval : [0, 0],
    parts: sums.map(({ squares, absolutes, largest }, part) => {
      const { count, squares: whole, least, greatest } = spreads[part]!
      return {
        r2: whole > 0 ? 1 - squares / whole : null,
        meanSquare: squares / Math.max(1, count),
        meanAbsolute: absolutes / Math.max(1, count),
        largest,
        range: count > 0 ? greatest - least : 0,
      }
    }),
    cosine: angles === 0 ? null : cosines / angles,
    undecided,
    contributions: shares,
  }
}

/** Mean, squares around it, least and greatest of the numbers of each part, in one pass (Welford 1962). */
function spreadOf(
  size: number,
  truth: (sample: number) => ArrayLike<number>,
  widths: readonly number[],
) {
  const spreads = widths.map(() => ({
    ...{ count: 0, mean: 0, squares: 0 },
    ...{ least: Number.POSITIVE_INFINITY, greatest: Number.NEGATIVE_INFINITY },
  }))
  for (let sample = 0; sample < size; sample++) {
    const row = truth(sample)
    if (!allFinite(row)) continue
    let at = 0
    for (const [part, width] of widths.entries()) {
      const spread = spreads[part]!
      for (const end = at + width; at < end; at++) {
        const value = row[at]!
        spread.count++
        const away = value - spread.mean
        spread.mean += away / spread.count
        spread.squares += away * (value - spread.mean)
        spread.least = Math.min(spread.least, value)
        spread.greatest = Math.max(spread.greatest, value)
      }
    }
  }
  return spreads
}
