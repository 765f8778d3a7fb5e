// Multi-label: any number of classes a sample, each decided for itself where its probability is above one half.
import { bootstrapOf, type Contributions, contributions, pairedP } from '../base/bootstrap.ts'
import { classCurves } from './class-curves.ts'
import { byName, confusion } from './confusion.ts'
import { sigmoidNormaliser } from './outputs.ts'
import { classRatios, finite, largest, meanOf, ratioTo } from './predictions.ts'
import type { Predictions, Task, Truth } from './task.ts'

/** Sets of classes. Targets are 1, 0, or below 0 where it is not known and does not count. */
export const multiLabel: Task = {
  summary:
    'Any number of classes a sample; those above a probability of one half are the prediction',
  target: 'classes',
  agreementIs: "how far the sets of classes are the teacher's, Dice's coefficient over all samples",
  outputs: 'first',
  losses: [{ loss: 'binary-cross-entropy', weight: 1, positiveWeight: 1 }],
  distillation: [
    { loss: 'kl-binary', weight: 0.9, temperature: 2 },
    { loss: 'binary-cross-entropy', weight: 0.1, positiveWeight: 1 },
  ],

  normaliser: sigmoidNormaliser,
  width: ({ classes }) => classes.length,

  evaluate(predictions, truth) {
    const { classes, size } = truth
    const found = count(predictions, truth)
    const { value, interval } = bootstrapOf(found.sums, f1Of)
    const total = found.sums.total()
    const [hits, chosen, actual] = [total[0]!, total[1]!, total[2]!]
    const curves = rankedOnes(predictions, truth)
    return {
      accuracy: {
        metric: 'f1',
        value,
        interval,
        metrics: {
          f1: value,
          precision: chosen > 0 ? hits / chosen : null,
          recall: actual > 0 ? hits / actual : null,
          ...found.counts.macro(),
          map: meanOf(curves.averagePrecision),
          auc: meanOf(curves.auc),
          'exact-match': found.exact / Math.max(1, size),
        },
        perClass: byName(classes, found.counts.f1()),
        classMetrics: {
          precision: byName(classes, found.counts.precision()),
          recall: byName(classes, found.counts.recall()),
          'average-precision': byName(classes, curves.averagePrecision),
          auc: byName(classes, curves.auc),
        },
      },
      calibrationError: null,
      undecided: found.undecided,
    }
  },

  retain(teacher, model, truth) {
    const [own, theirs] = [count(model, truth), count(teacher, truth)]
    const likeness = compare(teacher, model)
    const f1 = (of: Counted) => byName(truth.classes, of.counts.f1())
    return {
      accuracy: ratioTo(f1Of(theirs.sums.total()), f1Of(own.sums.total())),
      agreement: likeness.overlap,
      klDivergence: finite(likeness.divergence),
      perClass: classRatios(f1(theirs), f1(own)),
      p: pairedP(own.sums, theirs.sums, f1Of),
      measures: { 'same-sets': likeness.sameSets, 'same-decisions': likeness.sameDecisions },
    }
  },

  agreement: (one, other) => compare(one, other).overlap,

  // Guessing as often as a class is there: precision and recall are then the share of the ones.
  chance(truth) {
    const targets = new Float32Array(truth.targetWidth)
    let [ones, known] = [0, 0]
    for (let sample = 0; sample < truth.size; sample++) {
      truth.target(sample, targets, 0)
      for (const target of targets) {
        ones += Number(target > 0)
        known += Number(target >= 0)
      }
    }
    return ones / Math.max(1, known)
  },
}

/** Micro F1 of hits, chosen and actual ones; 0 where there are none. */
const f1Of = (sums: Float64Array): number =>
  sums[1]! + sums[2]! > 0 ? (2 * sums[0]!) / (sums[1]! + sums[2]!) : 0

interface Counted {
  readonly counts: ReturnType<typeof confusion>
  /** Hits, chosen and actual ones. */
  readonly sums: Contributions
  /** Samples without any wrong decision. */
  readonly exact: number
  readonly undecided: number
}

/** Counts decisions by class; all of an undecided sample are wrong. */
function count(predictions: Predictions, truth: Truth): Counted {
  const { classes, size, targetWidth } = truth
  const counts = confusion(classes.length)
  const sums = contributions(size, 3)
  const targets = new Float32Array(targetWidth)
  let [exact, undecided] = [0, 0]
  for (let sample = 0; sample < size; sample++) {
    truth.target(sample, targets, 0)
    const row = predictions.row(sample)
    const decided = isDecided(row)
    undecided += Number(!decided)
    let [hits, chosen, actual, wrong] = [0, 0, 0, 0]
    for (let label = 0; label < classes.length; label++) {
      const target = targets[label]!
      if (target < 0) continue
      const is = target > 0
      const said = decided ? row[label]! > 0 : !is
      counts.addBinary(label, is, said)
      hits += Number(is && said)
      chosen += Number(said)
      actual += Number(is)
      wrong += Number(is !== said)
    }
    sums.add(sample, hits, chosen, actual)
    exact += Number(wrong === 0)
  }
  return { counts, sums, exact, undecided }
}

/** Compares the decisions and the probabilities of two models. */
function compare(teacher: Predictions, model: Predictions) {
  const { size, width } = model
  let [common, all, sameSets, same, divergence] = [0, 0, 0, 0, 0]
  for (let sample = 0; sample < size; sample++) {
    const [row, theirs] = [model.row(sample), teacher.row(sample)]
    const decided = isDecided(row) && isDecided(theirs)
    let different = 0
    for (let label = 0; label < width; label++) {
      const [z, t] = [row[label]!, theirs[label]!]
      const differs = !decided || z > 0 !== t > 0
      common += decided ? 2 * Number(z > 0 && t > 0) : 0
      all += decided ? Number(z > 0) + Number(t > 0) : 2
      different += Number(differs)
      divergence += bernoulliDivergence(t, z)
    }
    sameSets += Number(different === 0)
    same += width - different
  }
  const samples = Math.max(1, size)
  return {
    /** The ones that both have over those that either has (Dice 1945); 1 where there are none. */
    overlap: all > 0 ? common / all : 1,
    sameSets: sameSets / samples,
    sameDecisions: same / Math.max(1, samples * width),
    /** Mean over the samples of the sum over the classes, in nats. */
    divergence: divergence / samples,
  }
}

/** KL of two yes-or-no decisions by their logits. */
function bernoulliDivergence(teacher: number, model: number): number {
  const p = 1 / (1 + Math.exp(-teacher))
  const yes = p > 0 ? p * (softplus(-model) - softplus(-teacher)) : 0
  const no = p < 1 ? (1 - p) * (softplus(model) - softplus(teacher)) : 0
  return Math.max(0, yes + no)
}

/** log(1 + eˣ). */
const softplus = (x: number): number => Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x)))

/** What is minus infinity is a class ruled out, so that a row of nothing else is decided too. */
const isDecided = (row: Float32Array): boolean =>
  largest(row) >= 0 || row.every((value) => value === Number.NEGATIVE_INFINITY)

function rankedOnes(predictions: Predictions, truth: Truth) {
  const targets = new Float32Array(truth.targetWidth)
  return classCurves(truth.size, truth.classes.length, (sample, first, scores, wanted) => {
    truth.target(sample, targets, 0)
    const row = predictions.row(sample)
    const decided = isDecided(row)
    for (let i = 0; i < scores.length; i++) {
      const target = targets[first + i]!
      scores[i] = decided ? row[first + i]! : Number.NaN
      wanted[i] = target < 0 ? -1 : Number(target > 0)
    }
  })
}
