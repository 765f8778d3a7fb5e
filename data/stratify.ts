// Stratified order: shuffled, and yet every prefix holds the classes in their proportions.
import type { Random } from '../base/random.ts'

/**
 * Orders candidates at random so that each prefix holds every class in proportion, give or take
 * one sample.
 *
 * Systematic sampling: the k-th of the n shuffled members of a class gets the place (k + 1/2) / n.
 * `labels` is indexed by the candidates' values; neither is changed.
 */
export function stratifiedOrder(
  labels: Int32Array,
  candidates: Uint32Array,
  random: Random,
): Uint32Array {
  const shuffled = random.permutation(candidates.length).map((index) => candidates[index]!)
  const counts = new Map<number, number>()
  for (const candidate of shuffled)
    counts.set(labels[candidate]!, (counts.get(labels[candidate]!) ?? 0) + 1)
  const seen = new Map<number, number>()
  const places = new Float64Array(shuffled.length)
  for (const [index, candidate] of shuffled.entries()) {
    const label = labels[candidate]!
    const before = seen.get(label) ?? 0
    seen.set(label, before + 1)
    places[index] = (before + 0.5) / counts.get(label)!
  }
  const order = Uint32Array.from(places.keys())
  // Equal places are frequent (classes of equal size); the shuffled position decides between them.
  order.sort((a, b) => places[a]! - places[b]! || a - b)
  return order.map((index) => shuffled[index]!)
}
