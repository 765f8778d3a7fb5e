// A histogram that grows: when a value lies outside, bins are merged in pairs, so that values can be streamed in one
// pass, in constant memory, without knowing their range beforehand.
import type { Range } from './arithmetic.ts'

/** Counts of values in equal bins around zero: bin i holds [(i - n/2) * width, (i + 1 - n/2) * width). */
export interface Histogram {
  readonly bins: Float64Array
  /** Width of one bin; 0 until a value other than 0 was seen. */
  readonly width: number
  /** How many values were seen. */
  readonly count: number
  readonly min: number
  readonly max: number
}

/** Bins on each side of zero. */
const half = 2048

/** A histogram that has seen nothing. */
export const emptyHistogram = (): Histogram => ({
  bins: new Float64Array(2 * half),
  width: 0,
  count: 0,
  min: Infinity,
  max: -Infinity,
})

/** The range of some values joined with one known before; NaN at both ends once a value was not finite. */
export function extend(range: Range, values: Float32Array): Range {
  let { min, max } = range
  let doubt = 0
  // Counting loops, here and below: iterators cost several times as much, and this sees every activation.
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    if (value < min) min = value
    if (value > max) max = value
    // 0 for a finite number, NaN for all others.
    doubt += value - value
  }
  return { min: min + doubt, max: max + doubt }
}

/** Counts more values; after one that is not finite `min` and `max` are NaN and nothing is counted. */
export function observe(histogram: Histogram, values: Float32Array): Histogram {
  const { min, max } = extend(histogram, values)
  const largest = Math.max(Math.abs(min), Math.abs(max))
  const count = histogram.count + values.length
  if (values.length === 0 || Number.isNaN(largest)) return { ...histogram, count, min, max }
  let { bins, width } = histogram
  if (width === 0 && largest > 0) {
    // Up to here all values were zero, and zero is in the same bin at every width.
    width = largest / half
  }
  for (; largest > half * width; width *= 2) bins = merge(bins)
  if (bins === histogram.bins) bins = bins.slice()
  const perWidth = width === 0 ? 0 : 1 / width
  for (let index = 0; index < values.length; index++) {
    // No number is below the first bin, so that cutting off the fraction rounds down.
    const bin = (values[index]! * perWidth + half) | 0
    // The largest value itself lies on the edge of the last bin.
    bins[bin < 2 * half ? bin : 2 * half - 1]! += 1
  }
  return { bins, width, count, min, max }
}

/** Merges pairs of bins; the edges at even multiples stay, zero among them. */
function merge(bins: Float64Array): Float64Array {
  const merged = new Float64Array(bins.length)
  for (const [index, count] of bins.entries())
    merged[Math.floor((index - half) / 2) + half]! += count
  return merged
}

/** Candidates that are tried between the lowest and the highest limit. */
const candidates = 128

/**
 * The limit on |x| at which the distribution of the values, those beyond put at the limit, differs least from what
 * `levels` steps can hold of it, as a Kullback-Leibler divergence.
 */
export function smallestDivergence({ bins, width }: Histogram, levels: number): number {
  const sizes = new Float64Array(half)
  for (const [index, count] of bins.entries())
    sizes[index >= half ? index - half : half - 1 - index]! += count
  // Zero, of which a Relu gives many, has a level of its own at every limit and must not decide.
  sizes[0] = Math.min(sizes[0]!, sizes[1]!)
  const used = sizes.findLastIndex((count) => count > 0) + 1
  if (used <= levels) return used * width
  const step = Math.max(1, Math.floor((used - levels) / candidates))
  let best = { divergence: Infinity, length: used }
  for (let length = used; length >= levels; length -= step) {
    const divergence = divergenceAt(sizes, used, length, levels)
    if (divergence < best.divergence) best = { divergence, length }
  }
  return best.length * width
}

/** KL(P || Q) with P the first bins, the rest added to the last of them, and Q its bins averaged level by level. */
function divergenceAt(sizes: Float64Array, used: number, length: number, levels: number): number {
  let beyond = 0
  for (let index = length; index < used; index++) beyond += sizes[index]!
  let total = beyond
  for (let index = 0; index < length; index++) total += sizes[index]!
  const inside = total - beyond
  if (inside === 0) return Infinity
  let divergence = 0
  for (let level = 0; level < levels; level++) {
    const start = Math.floor((level * length) / levels)
    const end = Math.floor(((level + 1) * length) / levels)
    let [sum, filled] = [0, 0]
    for (let index = start; index < end; index++) {
      sum += sizes[index]!
      if (sizes[index]! > 0) filled++
    }
    for (let index = start; index < end; index++) {
      const p = (sizes[index]! + (index === length - 1 ? beyond : 0)) / total
      if (p === 0) continue
      // A level without values inside still has to answer for what was cut off.
      const q = sizes[index]! > 0 ? sum / filled / inside : 1e-9
      divergence += p * Math.log(p / q)
    }
  }
  return divergence
}
