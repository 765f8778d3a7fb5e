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
  // Loops of four at a time, here and below: they see every activation, and one value at a time takes twice as long, an
  // iterator several times.
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
  let { bins, width } = histogram
  // Nearly every batch lies within what was seen before: its extremes are found while it is counted.
  let own = width === 0 ? extend(nothing, values) : countAll(values, perWidth(width))
  const min = Math.min(histogram.min, own.min)
  const max = Math.max(histogram.max, own.max)
  const largest = Math.max(Math.abs(min), Math.abs(max))
  const count = histogram.count + values.length
  if (values.length === 0 || Number.isNaN(largest)) {
    scratch.fill(0)
    return { ...histogram, count, min, max }
  }
  if (width === 0 || largest > half * width) {
    scratch.fill(0)
    // Where there was no width all values were zero, and zero is in the same bin at every width.
    if (width === 0) width = largest / half
    for (; largest > half * width; width *= 2) bins = merge(bins)
    own = countAll(values, perWidth(width))
  }
  takeScratch(bins, binOf(own.min, perWidth(width)), binOf(own.max, perWidth(width)))
  return { bins, width, count, min, max }
}

const nothing: Range = { min: Infinity, max: -Infinity }

const perWidth = (width: number): number => (width === 0 ? 0 : 1 / width)

/** No number is below the first bin, so that cutting off the fraction rounds down. */
const binOf = (value: number, perWidth: number): number => (value * perWidth + half) | 0

/** Places that a copy of the bins has: a power of two, and more than bins, for the largest value is on the edge of the last. */
const places = 4 * half

const last = places - 1

/** How far copies lie apart: were it a power of two, the same bin of each would want the same place in the cache. */
const stride = places + 64

/** Counts of one batch, in four copies: an addition need not wait for the one before, though both are about zero. */
const scratch = new Uint32Array(4 * stride)

/** Counts values in the scratch and gives their range; where that is not within the bins, the counts are of no use. */
function countAll(values: Float32Array, perWidth: number): Range {
  let { min, max } = nothing
  for (let start = 0; start < values.length; start += block) {
    const own = count(values.subarray(start, start + block), perWidth)
    min = Math.min(min, own.min)
    max = Math.max(max, own.max)
  }
  return { min, max }
}

function count(values: Float32Array, perWidth: number): Range {
  let min = Infinity
  let max = -Infinity
  let doubt = 0
  const whole = values.length - (values.length % 4)
  for (let index = 0; index < whole; index += 4) {
    const a = values[index]!
    const b = values[index + 1]!
    const c = values[index + 2]!
    const d = values[index + 3]!
    // All places before the first count: in the other order each would wait for the memory of the one before.
    const first = binOf(a, perWidth) & last
    const second = (binOf(b, perWidth) & last) + stride
    const third = (binOf(c, perWidth) & last) + 2 * stride
    const fourth = (binOf(d, perWidth) & last) + 3 * stride
    scratch[first] = scratch[first]! + 1
    scratch[second] = scratch[second]! + 1
    scratch[third] = scratch[third]! + 1
    scratch[fourth] = scratch[fourth]! + 1
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
    const place = binOf(value, perWidth) & last
    scratch[place] = scratch[place]! + 1
    if (value < min) min = value
    if (value > max) max = value
    doubt += value * 0
  }
  return { min: min + doubt, max: max + doubt }
}

/** Moves what was counted from the first to the last of some bins into them. */
function takeScratch(bins: Float64Array, from: number, to: number): void {
  for (let copy = 0; copy < 4; copy++) {
    const counts = scratch.subarray(copy * stride, copy * stride + places)
    for (let bin = from; bin <= to; bin++) bins[Math.min(bin, 2 * half - 1)]! += counts[bin]!
    counts.fill(0, from, to + 1)
  }
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
