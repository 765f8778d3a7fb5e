// Where the entropy calibrator cuts (Migacz, "8-bit inference with TensorRT", GTC 2017).
import { type Histogram, magnitudes } from './histogram.ts'

/** Candidates that are tried between the lowest and the highest limit. */
const candidates = 128

/**
 * The limit on |x| at which the distribution of the values, those beyond put at the limit, differs least from what
 * `levels` steps can hold of it, as a Kullback-Leibler divergence.
 */
export function smallestDivergence(histogram: Histogram, levels: number): number {
  const { width } = histogram
  const sizes = magnitudes(histogram)
  const used = sizes.findLastIndex((count) => count > 0) + 1
  if (used <= levels) return used * width
  const sums = sumsOf(sizes)
  const step = Math.max(1, Math.floor((used - levels) / candidates))
  let best = { divergence: Infinity, length: used }
  for (let length = used; length >= levels; length -= step) {
    const divergence = divergenceAt(sizes, sums, length, levels)
    if (divergence < best.divergence) best = { divergence, length }
  }
  return best.length * width
}

/** Sums over the bins before each: how many values, how many bins that are not empty, n ln n. */
interface Sums {
  readonly counts: Float64Array
  readonly filled: Float64Array
  readonly logs: Float64Array
}

function sumsOf(sizes: Float64Array): Sums {
  const [counts, filled, logs] = [0, 1, 2].map(() => new Float64Array(sizes.length + 1))
  for (const [index, count] of sizes.entries()) {
    counts![index + 1] = counts![index]! + count
    filled![index + 1] = filled![index]! + (count > 0 ? 1 : 0)
    logs![index + 1] = logs![index]! + timesLog(count)
  }
  return { counts: counts!, filled: filled!, logs: logs! }
}

const timesLog = (count: number) => (count > 0 ? count * Math.log(count) : 0)

/**
 * KL(P || Q) with P the first bins, the rest added to the last of them, and Q its bins averaged level by level.
 *
 * Q is the same for all bins of a level that have values, so that a level takes its sums alone.
 */
function divergenceAt(
  sizes: Float64Array,
  { counts, filled, logs }: Sums,
  length: number,
  levels: number,
): number {
  const total = counts.at(-1)!
  const inside = counts[length]!
  if (inside === 0) return Infinity
  const last = sizes[length - 1]!
  let divergence = 0
  for (let level = 0; level < levels; level++) {
    const start = Math.floor((level * length) / levels)
    const end = Math.floor(((level + 1) * length) / levels)
    const sum = counts[end]! - counts[start]!
    const q = sum / (filled[end]! - filled[start]!) / inside
    // What was cut off is the last bin's: that is counted by itself.
    const own = level === levels - 1 ? last : 0
    if (sum > own)
      divergence +=
        (logs[end]! - logs[start]! - timesLog(own) - (sum - own) * Math.log(total * q)) / total
    if (level < levels - 1) continue
    const p = (last + total - inside) / total
    // A level without values inside still has to answer for what was cut off.
    if (p > 0) divergence += p * Math.log(p / (last > 0 ? q : 1e-9))
  }
  return divergence
}
