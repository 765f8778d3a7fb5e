// What is said by order alone: ranks, rank correlation, the area under the ROC curve, average precision.

/** The positions of values in ascending order; what is not a number comes first. */
export function ascending(values: ArrayLike<number>): Uint32Array {
  const keys = Float64Array.from(values, (value) => (Number.isNaN(value) ? -Infinity : value))
  return Uint32Array.from(keys.keys()).sort((a, b) =>
    keys[a]! < keys[b]! ? -1 : keys[a]! > keys[b]! ? 1 : a - b,
  )
}

/**
 * The ranks of values from 1 on; equal values share the mean of their ranks.
 *
 * `order` is {@link ascending} of the values, where it is known; `counts` says how often each value is there (once
 * unless given), as a bootstrap does.
 */
export function averageRanks(
  values: ArrayLike<number>,
  order: Uint32Array = ascending(values),
  counts?: ArrayLike<number>,
): Float64Array {
  const ranks = new Float64Array(values.length)
  let before = 0
  for (let start = 0; start < order.length; ) {
    let end = start
    let tied = 0
    do tied += counts ? counts[order[end]!]! : 1
    while (++end < order.length && values[order[end]!] === values[order[start]!])
    for (let i = start; i < end; i++) ranks[order[i]!] = before + (tied + 1) / 2
    before += tied
    start = end
  }
  return ranks
}

/** Pearson's correlation of two lists, -1..1, each pair as often as `counts` says; null where one has no spread. */
export function correlation(
  one: ArrayLike<number>,
  other: ArrayLike<number>,
  counts?: ArrayLike<number>,
): number | null {
  let [n, meanOne, meanOther] = [0, 0, 0]
  for (let i = 0; i < one.length; i++) {
    const count = counts ? counts[i]! : 1
    n += count
    meanOne += count * one[i]!
    meanOther += count * other[i]!
  }
  meanOne /= n
  meanOther /= n
  let [both, squaresOne, squaresOther] = [0, 0, 0]
  for (let i = 0; i < one.length; i++) {
    const count = counts ? counts[i]! : 1
    const [a, b] = [one[i]! - meanOne, other[i]! - meanOther]
    both += count * a * b
    squaresOne += count * a * a
    squaresOther += count * b * b
  }
  const scale = Math.sqrt(squaresOne) * Math.sqrt(squaresOther)
  return scale > 0 ? Math.max(-1, Math.min(1, both / scale)) : null
}

/** Spearman's rank correlation, -1..1, ties averaged (Spearman 1904); null where one list has no spread. */
export function spearman(one: ArrayLike<number>, other: ArrayLike<number>): number | null {
  return correlation(averageRanks(one), averageRanks(other))
}

/** The scores of what belongs to a class and of what does not, each in ascending order. */
export interface Separated {
  readonly positives: Float64Array
  readonly negatives: Float64Array
}

/** Separates scores, none of them NaN, by the truth: above 0 belongs, 0 does not, below 0 does not count. */
export function separated(scores: ArrayLike<number>, truth: ArrayLike<number>): Separated {
  const count = [0, 0]
  for (let i = 0; i < scores.length; i++) if (truth[i]! >= 0) count[Number(truth[i]! > 0)]!++
  const [negatives, positives] = [new Float64Array(count[0]!), new Float64Array(count[1]!)]
  let [negative, positive] = [0, 0]
  for (let i = 0; i < scores.length; i++)
    if (truth[i]! > 0) positives[positive++] = scores[i]!
    else if (truth[i] === 0) negatives[negative++] = scores[i]!
  return { positives: positives.sort(), negatives: negatives.sort() }
}

/**
 * The area under the ROC curve, 0..1: how likely a positive has a higher score than a negative, ties as one half
 * (Mann and Whitney 1947); null without positives or without negatives.
 */
export function areaUnderCurve({ positives, negatives }: Separated): number | null {
  if (positives.length === 0 || negatives.length === 0) return null
  let [below, notAbove, sum] = [0, 0, 0]
  for (const score of positives) {
    while (below < negatives.length && negatives[below]! < score) below++
    while (notAbove < negatives.length && negatives[notAbove]! <= score) notAbove++
    sum += (below + notAbove) / 2
  }
  return sum / positives.length / negatives.length
}

/**
 * Average precision, 0..1: the precision at every threshold, weighted by the recall that it adds; equal scores stand at
 * one threshold. Null without positives.
 */
export function averagePrecision({ positives, negatives }: Separated): number | null {
  const total = positives.length
  let [hits, misses, sum] = [0, 0, 0]
  while (hits < total) {
    const threshold = positives[total - 1 - hits]!
    const before = hits
    while (hits < total && positives[total - 1 - hits] === threshold) hits++
    while (misses < negatives.length && negatives[negatives.length - 1 - misses]! >= threshold)
      misses++
    sum += (hits - before) * (hits / (hits + misses))
  }
  return total === 0 ? null : sum / total
}
