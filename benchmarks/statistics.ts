// The statistics of a benchmark: quantiles of latencies, ratios of medians and the Pareto front.
import { mean, medianSorted, quantile, standardDeviation } from 'simple-statistics'
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

/** How measured values are spread, in their unit. */
export interface Spread {
  /** The 99.9th percentile; undefined for fewer than a thousand values, of which it would be the largest. */
  readonly p999: number | undefined
  readonly mean: number
  /** Standard deviation, outliers and all. */
  readonly deviation: number
}

/** Sums up how measured values, at least one, in any order, are spread. */
export function spreadOf(values: readonly number[]): Spread {
  return {
    p999: values.length < 1000 ? undefined : quantile([...values], 0.999),
    mean: mean([...values]),
    deviation: standardDeviation([...values]),
  }
}

/** The smallest and the largest of measured values and what lies evenly between them in order, `most` values at most. */
export function evenlyOrdered(values: ArrayLike<number>, most: number): number[] {
  const sorted = Float64Array.from(values).sort()
  const count = Math.min(most, sorted.length)
  const last = Math.max(1, count - 1)
  return Array.from(
    { length: count },
    (_, at) => sorted[Math.round((at * (sorted.length - 1)) / last)]!,
  )
}

/** A ratio and the interval that encloses it with 95 % confidence. */
export interface RatioWithInterval {
  readonly value: number
  readonly interval: Interval
}

/**
 * The ratio of two medians of paired values with its percentile-bootstrap interval: pairs are drawn, so that what both
 * values of a pair share cancels out (Efron and Tibshirani 1993, sections 8.3 and 13.3).
 *
 * Both samples hold as many positive values, at least one; the same seed gives the same interval.
 */
export function ratioOfMedians(
  numerator: ArrayLike<number>,
  denominator: ArrayLike<number>,
  { seed, resamples = 2000 }: { seed: number; resamples?: number },
): RatioWithInterval {
  const { integer } = random(seed, 'ratio of medians')
  const pairs = numerator.length
  if (pairs === 0 || denominator.length !== pairs)
    throw new Error(`internal: ${pairs} and ${denominator.length} values are no pairs`)
  const ratioOf = (drawn: (place: number) => number) => {
    const medianOf = (values: ArrayLike<number>) =>
      medianSorted(
        Array.from({ length: pairs }, (_, place) => values[drawn(place)]!).sort(ascending),
      )
    return medianOf(numerator) / medianOf(denominator)
  }
  const ratios = Array.from({ length: resamples }, () => {
    const drawn = Uint32Array.from({ length: pairs }, () => integer(pairs))
    return ratioOf((place) => drawn[place]!)
  })
  const [low, high] = quantile(ratios, [0.025, 0.975]) as [number, number]
  return { value: ratioOf((place) => place), interval: [low, high] }
}

const ascending = (one: number, other: number): number => one - other

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
