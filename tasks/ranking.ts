// Ranking: groups of candidates, one score each; what is relevant should come first.
import { bootstrapOf, type Contributions, contributions, pairedP } from '../base/bootstrap.ts'
import { UserError } from '../base/errors.ts'
import { spearman } from '../base/ranks.ts'
import { sigmoidNormaliser } from './outputs.ts'
import { largest, ratioTo } from './predictions.ts'
import type { Predictions, Task, Truth } from './task.ts'

/**
 * Recommendation and search: consecutive samples are the candidates of one group, and the target is their relevance (0
 * where there is none, below 0 where a place of the group is empty).
 *
 * Equal scores stand in the worst order, so that a model that gives all candidates the same score finds nothing. Groups
 * without anything relevant do not count.
 */
export const ranking: Task = {
  summary: 'Groups of candidates, one score each: what is relevant should come first',
  check: requireGroups,
  target: 'relevance',
  agreementIs: "rank correlation of the scores with the teacher's, mean over groups",
  outputs: 'first',
  losses: [{ loss: 'binary-cross-entropy', weight: 1, positiveWeight: 1 }],
  distillation: [
    { loss: 'kl-binary', weight: 0.5, temperature: 2 },
    { loss: 'binary-cross-entropy', weight: 0.5, positiveWeight: 1 },
  ],

  normaliser: sigmoidNormaliser,
  width: () => 1,

  evaluate(predictions, truth) {
    const { sums, undecided } = count(predictions, truth)
    const total = sums.total()
    const { value, interval } = bootstrapOf(sums, ndcgOf)
    const mean = (index: number) => (total[0]! > 0 ? total[index]! / total[0]! : null)
    return {
      accuracy: {
        metric: 'ndcg@10',
        value,
        interval,
        metrics: {
          'ndcg@10': mean(1),
          'hit-rate@1': mean(2),
          'hit-rate@5': mean(3),
          'hit-rate@10': mean(4),
          mrr: mean(5),
        },
      },
      calibrationError: null,
      undecided,
    }
  },

  retain(teacher, model, truth) {
    const [own, theirs] = [count(model, truth).sums, count(teacher, truth).sums]
    const likeness = compare(teacher, model, truth.group)
    return {
      accuracy: ratioTo(ndcgOf(theirs.total()), ndcgOf(own.total())),
      agreement: likeness.correlation,
      klDivergence: null,
      perClass: {},
      p: pairedP(own, theirs, ndcgOf),
      measures: { 'same-first': likeness.sameFirst, 'overlap@10': likeness.overlap },
    }
  },

  agreement: (one, other, { group }) => compare(other, one, group).correlation,

  // The mean over all orders of a group: every candidate is as often in each place.
  chance(truth) {
    let [sum, groups] = [0, 0]
    for (const relevances of relevancesOf(truth)) {
      const candidates = relevances.filter((relevance) => relevance >= 0)
      const best = gainOf([...candidates].sort((a, b) => b - a))
      if (best === 0) continue
      const mean = candidates.reduce((total, relevance) => total + relevance, 0) / candidates.length
      sum += gainOf(candidates.map(() => mean)) / best
      groups++
    }
    return groups > 0 ? sum / groups : 0
  },
}

const cutoff = 10

/** Mean NDCG of the groups that count, from their number and its sum. */
const ndcgOf = (sums: Float64Array): number => (sums[0]! > 0 ? sums[1]! / sums[0]! : 0)

/** Discounted cumulative gain of the first ten (Järvelin and Kekäläinen 2002): Σ relevance / log2(place + 1). */
function gainOf(relevances: readonly number[]): number {
  return relevances
    .slice(0, cutoff)
    .reduce((sum, relevance, index) => sum + relevance / Math.log2(index + 2), 0)
}

function requireGroups({ group, size, source }: Truth): void {
  if (group < 2 || size % group !== 0)
    throw new UserError(
      `data '${source}': ranking needs groups of two candidates or more: ${size} samples in groups of ${group} — make them of who touched what, with data.interactions`,
    )
}

function* relevancesOf(truth: Truth): Generator<number[]> {
  requireGroups(truth)
  const { group, size } = truth
  const target = new Float32Array(truth.targetWidth)
  for (let first = 0; first < size; first += group)
    yield Array.from({ length: group }, (_, index) => {
      truth.target(first + index, target, 0)
      return target[0]!
    })
}

/** Counted groups, NDCG, hits among the first 1, 5 and 10, and the reciprocal of the first hit's place: sums of groups. */
function count(
  predictions: Predictions,
  truth: Truth,
): { readonly sums: Contributions; readonly undecided: number } {
  const sums = contributions(Math.floor(truth.size / truth.group), 6)
  let [undecided, number] = [0, 0]
  for (const relevances of relevancesOf(truth)) {
    const scores = scoresOf(predictions, number * truth.group, truth.group)
    undecided += scores.filter(Number.isNaN).length
    const ordered = relevances
      .map((relevance, index) => ({ relevance, score: pessimistic(scores[index]!, relevance) }))
      .filter(({ relevance }) => relevance >= 0)
      .sort((a, b) => (b.score > a.score ? 1 : b.score < a.score ? -1 : a.relevance - b.relevance))
      .map(({ relevance }) => relevance)
    const first = ordered.findIndex((relevance) => relevance > 0)
    if (first >= 0) {
      const ndcg = gainOf(ordered) / gainOf([...ordered].sort((a, b) => b - a))
      const hit = (among: number) => Number(first < among)
      sums.add(number, 1, ndcg, hit(1), hit(5), hit(cutoff), 1 / (first + 1))
    }
    number++
  }
  return { sums, undecided }
}

/** A candidate without a score stands last if it is relevant and first if it is not. */
const pessimistic = (score: number, relevance: number): number =>
  Number.isNaN(score)
    ? relevance > 0
      ? Number.NEGATIVE_INFINITY
      : Number.POSITIVE_INFINITY
    : score

/** The scores of a group; what is infinite or not a number says nothing. */
const scoresOf = (predictions: Predictions, first: number, count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, index) => {
    const score = predictions.row(first + index)[0]!
    return score === Number.POSITIVE_INFINITY ? Number.NaN : score
  })

/** Compares the orders of two models, group by group; samples that are in no group are one. */
function compare(teacher: Predictions, model: Predictions, group: number) {
  const size = group > 1 ? group : model.size
  const groups = Math.floor(model.size / Math.max(1, size))
  const top = Math.min(cutoff, size)
  let [correlation, sameFirst, overlap] = [0, 0, 0]
  for (let number = 0; number < groups; number++) {
    const own = scoresOf(model, number * size, size)
    const theirs = scoresOf(teacher, number * size, size)
    if (own.some(Number.isNaN) || theirs.some(Number.isNaN)) continue
    // Where either has no order at all there is no correlation: alike are two without any.
    const flat = (scores: Float64Array) => scores.every((score) => score === scores[0])
    correlation += spearman(own, theirs) ?? Number(flat(own) && flat(theirs))
    sameFirst += Number(largest(own) === largest(theirs))
    const firsts = new Set(firstOf(theirs, top))
    overlap += firstOf(own, top).filter((index) => firsts.has(index)).length / top
  }
  const share = (sum: number) => sum / Math.max(1, groups)
  return {
    /** Mean rank correlation, 0..1. */
    correlation: Math.max(0, Math.min(1, share(correlation))),
    sameFirst: share(sameFirst),
    overlap: share(overlap),
  }
}

/** The candidates with the highest scores, of equals those that come first. */
const firstOf = (scores: Float64Array, count: number): number[] =>
  Array.from(scores.keys())
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count)
