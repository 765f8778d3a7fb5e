// Intervals and tests by resampling (Efron 1979): seeded, so that the same samples always give the same numbers, and cheap,
// for what is resampled are sums that samples contribute to.
import { quantile } from 'simple-statistics'
import { random } from './random.ts'
import type { Interval } from './statistics.ts'

/** More samples than this are gathered in as many random blocks, which are then resampled in their place. */
const mostBlocks = 1024

/** Resamples where they are cheap. */
const wanted = 1000

/** What samples contribute to a few sums: a metric that is a function of these sums can be resampled. */
export interface Contributions {
  /** Adds the contributions of one sample, as many as there are sums. */
  add(sample: number, ...values: readonly number[]): void
  /** The sums over all samples. */
  total(): Float64Array
  /** One row of sums a block. */
  readonly blocks: readonly Float64Array[]
}

/**
 * Room for what `size` samples contribute to `width` sums.
 *
 * Samples lie in blocks at random, the same for the same `size`, so that two models are resampled alike; the sum of a
 * block of independent samples is as good a thing to resample as a sample, where blocks are many.
 */
export function contributions(size: number, width: number): Contributions {
  const count = Math.min(size, mostBlocks)
  const order = size > count ? random(0, 'blocks', size).permutation(size) : undefined
  const blocks = Array.from({ length: count }, () => new Float64Array(width))
  return {
    blocks,
    add(sample, ...values) {
      const block = blocks[order ? order[sample]! % count : sample]!
      for (let i = 0; i < width; i++) block[i]! += values[i]!
    },
    total() {
      const sums = new Float64Array(width)
      for (const block of blocks) for (let i = 0; i < width; i++) sums[i]! += block[i]!
      return sums
    },
  }
}

/** The value of a metric of sums, and its 95 % percentile interval. */
export function bootstrapOf(
  of: Contributions,
  metric: (sums: Float64Array) => number,
): { readonly value: number; readonly interval: Interval } {
  const value = metric(of.total())
  const drawn = resample(of.blocks.length, (counts) => metric(weighted(of, counts)))
  return { value, interval: percentiles(drawn, value) }
}

/**
 * p of a two-sided test whether two models differ in a metric of sums: both are resampled together.
 *
 * Twice the share of resamples in which the difference has not the sign that it mostly has; at least 2/1001.
 */
export function pairedP(
  one: Contributions,
  other: Contributions,
  metric: (sums: Float64Array) => number,
): number {
  return signP(
    resample(
      one.blocks.length,
      (counts) => metric(weighted(one, counts)) - metric(weighted(other, counts)),
    ),
  )
}

/** A statistic of many resamples, each given by how often it has every one of `size` things. */
export function resample(size: number, statistic: (counts: Uint32Array) => number): Float64Array {
  const { integer } = random(0, 'bootstrap', size)
  const counts = new Uint32Array(size)
  const repeats = Math.max(200, Math.min(wanted, Math.floor(4e6 / Math.max(1, size))))
  return Float64Array.from({ length: size === 0 ? 0 : repeats }, () => {
    counts.fill(0)
    for (let drawn = 0; drawn < size; drawn++) counts[integer(size)]!++
    return statistic(counts)
  })
}

/** The 2.5 % and the 97.5 % quantile of the finite ones among resampled values; `value` twice where there are none. */
export function percentiles(resampled: Float64Array, value: number): Interval {
  const finite = Array.from(resampled).filter(Number.isFinite)
  if (finite.length === 0) return [value, value]
  const [low, high] = quantile(finite, [0.025, 0.975]) as [number, number]
  return [low, high]
}

/** p of a two-sided test whether a difference is none, from its resampled values. */
export function signP(differences: Float64Array): number {
  const finite = differences.filter(Number.isFinite)
  const notAbove = finite.reduce((count, value) => count + Number(value <= 0), 0)
  const notBelow = finite.reduce((count, value) => count + Number(value >= 0), 0)
  return Math.min(1, (2 * (1 + Math.min(notAbove, notBelow))) / (finite.length + 1))
}

function weighted({ blocks }: Contributions, counts: Uint32Array): Float64Array {
  const sums = new Float64Array(blocks[0]?.length ?? 0)
  for (const [index, block] of blocks.entries()) {
    const count = counts[index]!
    if (count > 0) for (let i = 0; i < sums.length; i++) sums[i]! += count * block[i]!
  }
  return sums
}
