// k-means of numbers: sorted, with running sums, so that a step costs a search for each centroid and not a look at every
// number. Lloyd, "Least squares quantization in PCM" (1982); Han, Mao and Dally, "Deep Compression" (2016), section 3.
import type { Random } from '../../../base/random.ts'

/** Where centroids begin. */
export const starts = {
  linear: 'evenly from the least to the largest, which serves the few large weights',
  density: 'evenly by how many weights there are',
  'k-means++': 'drawn, far from each other',
} as const

/** The name of a start. */
export type StartName = keyof typeof starts

/** Numbers in order, with the sums of all before each of them. */
interface Sorted {
  readonly values: Float32Array
  readonly sums: Float64Array
}

function sort(values: Float32Array): Sorted {
  const sorted = values.slice().sort()
  const sums = new Float64Array(sorted.length + 1)
  for (let at = 0; at < sorted.length; at++) sums[at + 1] = sums[at]! + sorted[at]!
  return { values: sorted, sums }
}

const starters: Readonly<
  Record<StartName, (sorted: Sorted, count: number, random: Random) => Float64Array>
> = {
  linear({ values }, count) {
    const [least, largest] = [values[0]!, values.at(-1)!]
    const step = count > 1 ? (largest - least) / (count - 1) : 0
    return Float64Array.from({ length: count }, (_, at) => least + at * step)
  },
  density: ({ values }, count) =>
    Float64Array.from(
      { length: count },
      (_, at) => values[Math.floor(((at + 0.5) / count) * values.length)]!,
    ),
  // Arthur and Vassilvitskii 2007: each by chance, in proportion to its squared distance from those before.
  'k-means++'({ values }, count, { uniform, integer }) {
    const chosen = [values[integer(values.length)]!]
    const distances = Float64Array.from(values, (value) => (value - chosen[0]!) ** 2)
    while (chosen.length < count) {
      let rest = uniform() * distances.reduce((sum, distance) => sum + distance, 0)
      let at = 0
      while (at < values.length - 1 && rest >= distances[at]!) rest -= distances[at++]!
      const next = values[at]!
      chosen.push(next)
      for (let other = 0; other < values.length; other++)
        distances[other] = Math.min(distances[other]!, (values[other]! - next) ** 2)
    }
    return Float64Array.from(chosen).sort()
  },
}

/** The first place in order from which on numbers are at least so large. */
function placeOf(values: Float32Array, bound: number): number {
  let [low, high] = [0, values.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! < bound) low = middle + 1
    else high = middle
  }
  return low
}

/** Steps after which centroids are taken as they are. */
const mostSteps = 300

/**
 * The centroids of numbers, in order, in float32: no more than `count`, and fewer where there are fewer numbers.
 *
 * No number is farther from its nearest centroid than from another, and each centroid is the mean of its numbers.
 */
export function centroidsOf(
  numbers: Float32Array,
  count: number,
  start: StartName,
  random: Random,
): Float32Array {
  if (numbers.length === 0) return new Float32Array()
  const sorted = sort(numbers)
  const { values, sums } = sorted
  const different = differentOf(values, count)
  if (different) return different
  let centroids = starters[start](sorted, count, random)
  for (let step = 0; step < mostSteps; step++) {
    let changed = false
    let from = 0
    const next = centroids.slice()
    for (let at = 0; at < count; at++) {
      const to =
        at === count - 1
          ? values.length
          : placeOf(values, (centroids[at]! + centroids[at + 1]!) / 2)
      const end = Math.max(from, to)
      // A centroid that no number is near to stays where it is.
      const mean = end > from ? (sums[end]! - sums[from]!) / (end - from) : centroids[at]!
      if (mean !== centroids[at]) changed = true
      next[at] = mean
      from = end
    }
    centroids = next
    if (!changed) break
  }
  return Float32Array.from(new Set(Float32Array.from(centroids)))
}

/** The numbers themselves, where there are no more different ones than centroids. */
function differentOf(sorted: Float32Array, most: number): Float32Array | undefined {
  const found: number[] = []
  for (const value of sorted) {
    if (value === found.at(-1)) continue
    if (found.length === most) return undefined
    found.push(value)
  }
  return Float32Array.from(found)
}

/** The centroid that a number is nearest to; of two, the smaller. */
export function nearestOf(centroids: Float32Array, number: number): number {
  const after = Math.min(centroids.length - 1, placeOf(centroids, number))
  const before = Math.max(0, after - 1)
  const [low, high] = [centroids[before]!, centroids[after]!]
  return number - low <= high - number ? low : high
}
