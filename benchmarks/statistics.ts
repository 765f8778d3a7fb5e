// The statistics of a benchmark: quantiles of latencies, ratios of medians and the Pareto front.
import { medianSorted, quantile } from 'simple-statistics'
import { random } from '../base/random.ts'
import type { Interval } from '../base/statistics.ts'

/** The median, the 90th and the 99th percentile of measured values, in their unit. */
export interface Quantiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** Sums up measured values, at least one, in any order, by their quantiles. */
export function quantilesOf(values: ArrayLike<number>): Quantiles {
  const [p50, p90, p99] = quantile(Array.from(values), [0.5, 0.9, 0.99]) as [number, number, number]
  return { p50, p90, p99 }
}

/** A ratio and the interval that encloses it with 95 % confidence. */
export interface RatioWithInterval {
  readonly value: number
  readonly interval: Interval
}

/**
 * The ratio of two medians with its percentile-bootstrap interval (Efron 1979).
 *
 * Both samples hold at least one positive value; the same seed gives the same interval.
 */
export function ratioOfMedians(
  numerator: ArrayLike<number>,
  denominator: ArrayLike<number>,
  { seed, resamples = 2000 }: { seed: number; resamples?: number },
): RatioWithInterval {
  const { integer } = random(seed, 'ratio of medians')
  const top = Float64Array.from(numerator).sort()
  const bottom = Float64Array.from(denominator).sort()
  const resampledMedian = (sorted: Float64Array) => {
    // Drawing positions in a sorted sample and sorting those is drawing values and sorting them.
    const drawn = Float64Array.from(sorted, () => sorted[integer(sorted.length)]!).sort()
    return medianOf(drawn)
  }
  const ratios = Float64Array.from(
    { length: resamples },
    () => resampledMedian(top) / resampledMedian(bottom),
  )
  const [low, high] = quantile(Array.from(ratios), [0.025, 0.975]) as [number, number]
  return { value: medianOf(top) / medianOf(bottom), interval: [low, high] }
}

const medianOf = (sorted: Float64Array): number =>
  // The library only indexes; its types ask for an array.
  medianSorted(sorted as unknown as number[])

/** For how many of the same samples two models were right. */
export interface PairedCounts {
  readonly both: number
  readonly onlyFirst: number
  readonly onlySecond: number
}

/**
 * The ratio of two shares of the same samples, first over second, with its 95 % interval (Bonett and Price 2006: Wilson's
 * intervals of both, narrowed by what they share).
 *
 * Undefined where the second share is 0.
 */
export function ratioOfPairedShares({
  both,
  onlyFirst,
  onlySecond,
}: PairedCounts): RatioWithInterval | undefined {
  const [first, second] = [both + onlyFirst, both + onlySecond]
  if (second === 0) return undefined
  const n = both + onlyFirst + onlySecond
  const spread = (right: number) => Math.sqrt((1 - (right + 1) / (n + 2)) / (right + 1))
  const paired = Math.sqrt((onlyFirst + onlySecond + 2) / ((first + 1) * (second + 1)))
  const z = (paired / (spread(first) + spread(second))) * 1.959963984540054
  const ends = (right: number): Interval => {
    const root = z * Math.sqrt(z * z + 4 * right * (1 - right / n))
    return [-root, root].map((by) => (2 * right + z * z + by) / (2 * (n + z * z))) as [
      number,
      number,
    ]
  }
  const [top, bottom] = [ends(first), ends(second)]
  return {
    value: first / second,
    // No share is below 0; floating point may be.
    interval: [Math.max(0, top[0]) / bottom[1], top[1] / bottom[0]],
  }
}

/** A choice with what it costs (less is better) and what it is worth (more is better). */
export interface Choice {
  readonly id: string
  readonly cost: number
  readonly value: number
}

/**
 * The ids of the choices that no other one beats (Pareto 1906), cheapest first.
 *
 * One beats another if it costs no more, is worth no less, and is better in one of the two; equals stay both.
 */
export function paretoFront(points: readonly Choice[]): string[] {
  const beaten = (point: Choice) =>
    points.some(
      (other) =>
        other.cost <= point.cost &&
        other.value >= point.value &&
        (other.cost < point.cost || other.value > point.value),
    )
  return points
    .filter((point) => !beaten(point))
    .sort((a, b) => a.cost - b.cost)
    .map(({ id }) => id)
}
