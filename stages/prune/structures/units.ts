// Masks of whatever comes in units: the least important ones go, wherever they are, until enough elements are zero.
import { UserError } from '../../../base/errors.ts'
import type { Amount, Masked, Units } from './mask.ts'

/** Units of one element each. */
export const singleUnits = (size: number): Units => ({ count: size, of: (element) => element })

/** The mean score of the elements of each unit. */
export function unitScores(
  scores: Float32Array,
  units: Units,
): { readonly scores: Float32Array; readonly sizes: Uint32Array } {
  const sums = new Float64Array(units.count)
  const sizes = new Uint32Array(units.count)
  for (let element = 0; element < scores.length; element++) {
    const unit = units.of(element)
    sums[unit]! += scores[element]!
    sizes[unit]!++
  }
  return { scores: Float32Array.from(sums, (sum, unit) => sum / sizes[unit]!), sizes }
}

/**
 * Masks with the units of the smallest mean scores zero until the share of zero elements is reached; of equal ones,
 * the first.
 *
 * The best unit of every weight stays: without it the layer would be gone.
 */
export function masksOfUnits(
  weights: readonly Masked[],
  { sparsity, progress }: Amount,
  unitsOf: (weight: Masked) => Units,
): Float32Array[] {
  const total = weights.reduce((sum, { scores }) => sum + scores.length, 0)
  const wanted = Math.round(sparsity * progress * total)
  const parts = weights.map((weight) => {
    const units = unitsOf(weight)
    return { units, ...unitScores(weight.scores, units) }
  })
  // All units one behind the other, so that one sort of numbers orders them.
  const offsets: number[] = []
  let count = 0
  for (const { units } of parts) {
    offsets.push(count)
    count += units.count
  }
  const scores = new Float32Array(count)
  const sizes = new Uint32Array(count)
  for (const [index, part] of parts.entries()) {
    scores.set(part.scores, offsets[index])
    sizes.set(part.sizes, offsets[index])
    // What may not go is more important than anything else.
    scores[offsets[index]! + bestOf(part.scores)] = Number.POSITIVE_INFINITY
  }
  const gone = smallest(scores, sizes, wanted)
  if (!gone) {
    const most = 1 - parts.reduce((sum, part) => sum + part.sizes[bestOf(part.scores)]!, 0) / total
    throw new UserError(
      `target.sparsity: cannot be reached: ${sparsity} — ${roundedDown(most)} is the most where something stays of every layer; lower it, or choose other layers`,
    )
  }
  return weights.map((weight, index) => {
    const { units } = parts[index]!
    const offset = offsets[index]!
    return weight.scores.map((_, element) => (gone[offset + units.of(element)] ? 0 : 1))
  })
}

/** The unit with the largest score, of equal ones the last. */
function bestOf(scores: Float32Array): number {
  let best = 0
  for (let unit = 1; unit < scores.length; unit++) if (scores[unit]! >= scores[best]!) best = unit
  return best
}

/** Flags of the units with the smallest scores whose sizes add up to what is wanted; undefined where too few may go. */
function smallest(
  scores: Float32Array,
  sizes: Uint32Array,
  wanted: number,
): Uint8Array | undefined {
  const gone = new Uint8Array(scores.length)
  if (wanted <= 0) return gone
  const equalSizes = sizes.every((size) => size === sizes[0])
  const order = equalSizes
    ? smallestOfEqualSize(scores, Math.ceil(wanted / sizes[0]!))
    : Uint32Array.from(scores.keys()).sort((a, b) => compare(scores[a]!, scores[b]!) || a - b)
  let taken = 0
  for (const unit of order) {
    if (taken >= wanted) break
    if (scores[unit] === Number.POSITIVE_INFINITY) return undefined
    gone[unit] = 1
    taken += sizes[unit]!
  }
  return taken >= wanted ? gone : undefined
}

/** The first so many units by score, without sorting their numbers. */
function smallestOfEqualSize(scores: Float32Array, count: number): Uint32Array {
  const sorted = scores.slice().sort()
  const threshold = sorted[Math.min(count, sorted.length) - 1]!
  let equal = count - sorted.indexOf(threshold)
  const chosen = new Uint32Array(Math.min(count, scores.length))
  let at = 0
  for (let unit = 0; unit < scores.length; unit++) {
    const score = scores[unit]!
    if (score < threshold || (score === threshold && equal-- > 0)) chosen[at++] = unit
  }
  return chosen
}

/** The so many of some elements that have the smallest scores; of equal ones, the first. */
export const smallestElements = (
  elements: readonly number[],
  scores: Float32Array,
  count: number,
): number[] =>
  [...elements]
    .sort((a, b) => compare(scores[a]!, scores[b]!) || a - b)
    .slice(0, Math.max(0, count))

/** Orders numbers, of which two may be the same infinity. */
const compare = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0)

const roundedDown = (share: number): string => (Math.floor(share * 1000) / 1000).toFixed(3)
