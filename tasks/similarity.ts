// Similarity: pairs of samples whose embeddings should point the same way as much as the pair is alike.

import { percentiles, resample, signP } from '../base/bootstrap.ts'
import { UserError } from '../base/errors.ts'
import { ascending, averageRanks, correlation, spearman } from '../base/ranks.ts'
import { allFinite, ratioTo } from './predictions.ts'
import type { Predictions, Task, Truth } from './task.ts'

/** Embeddings of pairs of consecutive samples; the target of the first of a pair is how alike both are. */
export const similarity: Task = {
  summary: 'Pairs of samples: the cosine of their embeddings should follow how alike they are',
  target: 'values',
  agreementIs: "rank correlation of the pairs' cosines with the teacher's",
  outputs: 'first',
  losses: [{ loss: 'cosine-pairs', weight: 1 }],
  distillation: [
    { loss: 'embedding', weight: 0.9 },
    { loss: 'cosine-pairs', weight: 0.1 },
  ],

  normaliser: () => (predictions) => predictions,
  width: () => undefined,

  evaluate(predictions, truth) {
    const wanted = scoresOf(truth)
    const { cosines, undecided } = judged(predictions, wanted)
    const rank = spearman(cosines, wanted)
    const value = rank ?? 0
    const ranked = rankedResamples(cosines, wanted)
    return {
      accuracy: {
        metric: 'spearman',
        value,
        interval: percentiles(resample(cosines.length, ranked), value),
        metrics: { spearman: rank, pearson: correlation(cosines, wanted) },
      },
      calibrationError: null,
      undecided,
    }
  },

  retain(teacher, model, truth) {
    const wanted = scoresOf(truth)
    const [own, theirs] = [judged(model, wanted).cosines, judged(teacher, wanted).cosines]
    const [ownRank, theirRank] = [rankedResamples(own, wanted), rankedResamples(theirs, wanted)]
    const differences = resample(own.length, (counts) => ownRank(counts) - theirRank(counts))
    return {
      accuracy: ratioTo(spearman(theirs, wanted) ?? 0, spearman(own, wanted) ?? 0),
      agreement: likeness(teacher, model),
      klDivergence: null,
      perClass: {},
      p: signP(differences),
      measures: { cosine: meanCosine(teacher, model) },
    }
  },

  agreement: (one, other) => likeness(other, one),

  chance: () => 0,
  check: requirePairs,
}

function requirePairs({ source, group, size }: Truth): void {
  if (group !== 2)
    throw new UserError(
      `data '${source}': similarity needs pairs of samples: ${size} samples in groups of ${group} — name the two columns that are compared, as data.pairs: { columns: [a, b] }`,
    )
}

const scoresOf = (truth: Truth): Float32Array => {
  requirePairs(truth)
  const target = new Float32Array(truth.targetWidth)
  return Float32Array.from({ length: Math.floor(truth.size / 2) }, (_, pair) => {
    truth.target(2 * pair, target, 0)
    return target[0]!
  })
}

/** The cosine of each pair of rows, not a number where a row has one that is not finite. */
function cosinesOf(predictions: Predictions): Float64Array {
  const first = new Float32Array(predictions.width)
  return Float64Array.from({ length: Math.floor(predictions.size / 2) }, (_, pair) => {
    // A row is gone when the next one is asked for.
    first.set(predictions.row(2 * pair))
    return cosine(first, predictions.row(2 * pair + 1))
  })
}

/** The cosines of pairs, where an undecided one is as wrong as can be; and how many samples those are. */
function judged(predictions: Predictions, wanted: Float32Array) {
  const cosines = cosinesOf(predictions)
  const middle = wanted.reduce((sum, score) => sum + score, 0) / Math.max(1, wanted.length)
  let undecided = 0
  for (const [pair, value] of cosines.entries())
    if (Number.isNaN(value)) {
      undecided += 2
      cosines[pair] = wanted[pair]! > middle ? -1 : 1
    }
  return { cosines, undecided }
}

/** Spearman's correlation of resamples, which need no sorting anew. */
function rankedResamples(one: Float64Array, other: Float32Array): (counts: Uint32Array) => number {
  const [order, otherOrder] = [ascending(one), ascending(other)]
  return (counts) =>
    correlation(
      averageRanks(one, order, counts),
      averageRanks(other, otherOrder, counts),
      counts,
    ) ?? Number.NaN
}

/** Rank correlation of how alike two models hold the same pairs, 0..1, times the share of pairs that both decide. */
function likeness(teacher: Predictions, model: Predictions): number {
  const [theirs, own] = [cosinesOf(teacher), cosinesOf(model)]
  const decided = (_: number, pair: number) => !Number.isNaN(own[pair]! + theirs[pair]!)
  const [known, taught] = [own.filter(decided), theirs.filter(decided)]
  const same = known.every((value, pair) => value === taught[pair])
  const rank = spearman(known, taught) ?? Number(same)
  return (Math.max(0, rank) * known.length) / Math.max(1, own.length)
}

/** Mean cosine to the teacher's embedding of the same sample; null where they differ in width or are not finite. */
function meanCosine(teacher: Predictions, model: Predictions): number | null {
  if (teacher.width !== model.width) return null
  let sum = 0
  for (let sample = 0; sample < model.size; sample++)
    sum += cosine(model.row(sample), teacher.row(sample))
  return Number.isFinite(sum) ? sum / Math.max(1, model.size) : null
}

/** The cosine of two vectors; 0 where one of them is 0, and not a number where one is not finite. */
function cosine(one: Float32Array, other: Float32Array): number {
  if (!allFinite(one) || !allFinite(other)) return Number.NaN
  let [both, own, theirs] = [0, 0, 0]
  for (let i = 0; i < one.length; i++) {
    both += one[i]! * other[i]!
    own += one[i]! ** 2
    theirs += other[i]! ** 2
  }
  return own > 0 && theirs > 0 ? both / Math.sqrt(own) / Math.sqrt(theirs) : 0
}
