// Where the mse calibrator cuts: at the least expected squared error of quantization.
import type { Range } from './arithmetic.ts'
import { countsWithoutZeros, type Histogram } from './histogram.ts'

/** Candidates on each side of zero. */
const candidates = 100

/**
 * The range at which values are expected to change least, as a mean square, when they are stored in `levels` steps.
 *
 * What lies inside is off by up to half a step, step²/12 in the mean (true of steps that are small against the values: at
 * 4 bits and a long tail it costs a tenth); what lies outside by its distance. Tried are all
 * pairs of `candidates` ends on each side of zero; with `symmetric`, ends that are as far from it. (Choukroun et al.,
 * "Low-bit quantization of neural networks for efficient inference", 2019, eq. 4, with the expectation for the sum.)
 */
export function leastSquaredError(histogram: Histogram, levels: number, symmetric: boolean): Range {
  if (histogram.width === 0) return { min: histogram.min, max: histogram.max }
  const [least, most] = [Math.min(histogram.min, 0), Math.max(histogram.max, 0)]
  const errorAt = squaredErrors(histogram, levels)
  const reach = Math.max(-least, most)
  let best = { error: Infinity, min: least, max: most }
  const attempt = (min: number, max: number) => {
    const error = errorAt(min, max)
    if (error < best.error) best = { error, min, max }
  }
  const share = (index: number) => (candidates - index) / candidates
  for (let high = 0; high < candidates; high++) {
    if (symmetric) {
      attempt(-reach * share(high), reach * share(high))
      continue
    }
    for (let low = 0; low < candidates; low++) {
      attempt(least * share(low), most * share(high))
      if (least === 0) break
    }
    if (most === 0) break
  }
  return { min: Math.max(histogram.min, best.min), max: Math.min(histogram.max, best.max) }
}

/** The expected sum of squared errors of a range that holds 0. */
function squaredErrors(histogram: Histogram, levels: number): (min: number, max: number) => number {
  const { width } = histogram
  const counts = countsWithoutZeros(histogram)
  const half = counts.length / 2
  // Σ n, Σ n x and Σ n x² over the bins before each.
  const [zeroth, first, second] = [0, 1, 2].map((power) => {
    const sums = new Float64Array(counts.length + 1)
    for (const [index, count] of counts.entries())
      sums[index + 1] = sums[index]! + count * ((index + 0.5 - half) * width) ** power
    return sums
  }) as [Float64Array, Float64Array, Float64Array]
  const between = (start: number, end: number, limit: number) =>
    second[end]! -
    second[start]! -
    2 * limit * (first[end]! - first[start]!) +
    limit ** 2 * (zeroth[end]! - zeroth[start]!)
  const binAt = (value: number) =>
    Math.min(counts.length, Math.max(0, Math.round(value / width) + half))
  return (min, max) => {
    const [start, end] = [binAt(min), binAt(max)]
    const step = (max - min) / (levels - 1)
    return (
      between(0, start, min) +
      between(end, counts.length, max) +
      ((zeroth[end]! - zeroth[start]!) * step ** 2) / 12
    )
  }
}
