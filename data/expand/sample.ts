// Items that somebody never touched, drawn at random.
import type { Random } from '../../base/random.ts'

/** `count` items out of 0 … size-1 that are not in `touched` (ascending), with replacement; some must be untouched. */
export function sampleAny(
  touched: Int32Array,
  size: number,
  count: number,
  randomly: Random,
): number[] {
  const untouched = size - touched.length
  return Array.from({ length: count }, () => nthUntouched(touched, randomly.integer(untouched)))
}

/** `count` different items out of 0 … size-1 that are not in `touched` (ascending); so many must be untouched. */
export function sampleDifferent(
  touched: Int32Array,
  size: number,
  count: number,
  randomly: Random,
): number[] {
  const untouched = size - touched.length
  // Floyd's sampling (Bentley and Floyd 1987): each set is equally likely, whatever the count.
  const ranks = new Set<number>()
  for (let last = untouched - count; last < untouched; last++) {
    const rank = randomly.integer(last + 1)
    ranks.add(ranks.has(rank) ? last : rank)
  }
  return Array.from(ranks, (rank) => nthUntouched(touched, rank))
}

/** The item of a given rank among the untouched ones. */
function nthUntouched(touched: Int32Array, rank: number): number {
  // Before the touched item number i stand touched[i] - i untouched ones.
  let low = 0
  let high = touched.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (touched[middle]! - middle <= rank) low = middle + 1
    else high = middle
  }
  return rank + low
}
