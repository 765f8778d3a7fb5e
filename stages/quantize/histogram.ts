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

/**
 * Values that are gone through at once. A function whose first call is one long loop is compiled in the middle of it,
 * which V8 has to give up whenever the loop ends.
 */
const block = 4096

/** The range of some values joined with one known before; NaN at both ends once a value was not finite. */
export function extend(range: Range, values: Float32Array): Range {
  let { min, max } = range
  for (let start = 0; start < values.length; start += block) {
    const own = extremesOf(values.subarray(start, start + block))
    min = Math.min(min, own.min)
    max = Math.max(max, own.max)
  }
  return { min, max }
}

/** The least and the greatest value; both NaN where one is not finite. */
function extremesOf(values: Float32Array): Range {
  let min = Infinity
  let max = -Infinity
  // 0 as long as all numbers are finite, then NaN.
  let doubt = 0
  const whole = values.length - (values.length % 4)
  // Counting loops of four at a time, here and below: this sees every activation, and a loop of one value at a time
  // takes twice as long, an iterator several times.
  for (let index = 0; index < whole; index += 4) {
    const a = values[index]!
    const b = values[index + 1]!
    const c = values[index + 2]!
    const d = values[index + 3]!
    if (a < min) min = a
    if (a > max) max = a
    if (b < min) min = b
    if (b > max) max = b
    if (c < min) min = c
    if (c > max) max = c
    if (d < min) min = d
    if (d > max) max = d
    doubt += (a + b + c + d) * 0
  }
  for (let index = whole; index < values.length; index++) {
    const value = values[index]!
    if (value < min) min = value
    if (value > max) max = value
    doubt += value * 0
  }
  return { min: min + doubt, max: max + doubt }
}

/**
 * Counts more values, in the bins of the histogram itself; after one that is not finite `min` and `max` are NaN and
 * nothing is counted.
 */
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
  countInto(bins, values, width === 0 ? 0 : 1 / width)
  return { bins, width, count, min, max }
}

const emptyCounts = () => new Uint32Array(2 * half + 1)

/** Counts of one batch, in four copies: an addition need not wait for the one before, though both are about zero. */
const scratch = [emptyCounts(), emptyCounts(), emptyCounts(), emptyCounts()] as const

/** Adds the counts of some values to the bins. */
function countInto(bins: Float64Array, values: Float32Array, perWidth: number): void {
  for (let start = 0; start < values.length; start += block)
    count(values.subarray(start, start + block), perWidth)
  const [first, second, third, fourth] = scratch
  for (let bin = 0; bin < bins.length; bin++)
    bins[bin]! += first[bin]! + second[bin]! + third[bin]! + fourth[bin]!
  // The largest value itself lies on the edge of the last bin.
  const edge = 2 * half
  bins[edge - 1]! += first[edge]! + second[edge]! + third[edge]! + fourth[edge]!
  for (const copy of scratch) copy.fill(0)
}

/** Counts values in the scratch. */
function count(values: Float32Array, perWidth: number): void {
  const [first, second, third, fourth] = scratch
  const whole = values.length - (values.length % 4)
  // No number is below the first bin, so that cutting off the fraction rounds down.
  for (let index = 0; index < whole; index += 4) {
    first[(values[index]! * perWidth + half) | 0]!++
    second[(values[index + 1]! * perWidth + half) | 0]!++
    third[(values[index + 2]! * perWidth + half) | 0]!++
    fourth[(values[index + 3]! * perWidth + half) | 0]!++
  }
  for (let index = whole; index < values.length; index++)
    first[(values[index]! * perWidth + half) | 0]!++
}

/** Merges pairs of bins; the edges at even multiples stay, zero among them. */
function merge(bins: Float64Array): Float64Array {
  const merged = new Float64Array(bins.length)
  for (const [index, count] of bins.entries())
    merged[Math.floor((index - half) / 2) + half]! += count
  return merged
}

/** Counts by distance from zero, both signs together, of which zero itself has no more than what is next to it. */
export function magnitudes({ bins }: Histogram): Float64Array {
  const sizes = new Float64Array(half)
  for (const [index, count] of bins.entries())
    sizes[index >= half ? index - half : half - 1 - index]! += count
  // Zero, of which a Relu gives many, is exact at every range and must not decide.
  sizes[0] = Math.min(sizes[0]!, sizes[1]!)
  return sizes
}

/** Counts by value, of which zero itself has no more than what is next to it; bin i has the middle (i + 0.5 - n/2) width. */
export function countsWithoutZeros({ bins }: Histogram): Float64Array {
  const counts = bins.slice()
  counts[half] = Math.min(counts[half]!, Math.max(counts[half - 1]!, counts[half + 1]!))
  return counts
}
