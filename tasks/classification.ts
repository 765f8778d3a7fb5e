// Classification: one label a sample, one output a class; the largest output is the prediction.
import { spearman } from '../base/ranks.ts'
import {
  calibration,
  klDivergence,
  logSoftmax,
  mcnemarExact,
  wilsonInterval,
} from '../base/statistics.ts'
import { classCurves } from './class-curves.ts'
import { byName, confusion } from './confusion.ts'
import { softmaxNormaliser } from './outputs.ts'
import { classRatios, finite, largest, meanOf } from './predictions.ts'
import type { Predictions, Task, Truth } from './task.ts'

/** Classification of samples into classes. */
export const classification: Task = {
  summary: 'One class a sample; the largest of the outputs is the prediction',
  target: 'class',
  agreementIs: "how often the class is the teacher's, right or wrong",
  outputs: 'first',
  losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
  // Hinton et al. 2015: mostly the teacher's softened outputs, a little of the labels.
  distillation: [
    { loss: 'kl', weight: 0.9, temperature: 4, standardise: false },
    { loss: 'cross-entropy', weight: 0.1, labelSmoothing: 0 },
  ],

  normaliser: softmaxNormaliser,
  width: ({ classes }) => classes.length,

  evaluate(predictions, truth) {
    const { classes, labels, size } = truth
    const counts = confusion(classes.length)
    const confidences = calibration()
    let [right, amongFive, undecided] = [0, 0, 0]
    for (let index = 0; index < size; index++) {
      const row = predictions.row(index)
      const decision = largest(row)
      const label = labels[index]!
      counts.add(label, decision)
      if (decision < 0) {
        undecided++
        continue
      }
      right += Number(decision === label)
      amongFive += Number(placeOf(row, label) < 5)
      confidences.add(Math.exp(logSoftmax(row)[decision]!), decision === label)
    }
    const curves = rankedOnes(predictions, truth)
    const share = (count: number) => count / Math.max(1, size)
    return {
      accuracy: {
        metric: 'top1',
        value: share(right),
        interval: wilsonInterval(right, size),
        metrics: {
          top1: share(right),
          // Of five classes or fewer it would always be 1.
          ...(classes.length > 5 && { top5: share(amongFive) }),
          ...counts.macro(),
          auc: classes.length === 2 ? curves.auc[1]! : meanOf(curves.auc),
        },
        perClass: byName(classes, counts.recall()),
        classMetrics: {
          precision: byName(classes, counts.precision()),
          recall: byName(classes, counts.recall()),
          f1: byName(classes, counts.f1()),
          auc: byName(classes, curves.auc),
        },
      },
      calibrationError: undecided ? null : confidences.error(),
      undecided,
    }
  },

  retain(teacher, model, truth) {
    const { classes, labels, size } = truth
    const [own, theirs] = [confusion(classes.length), confusion(classes.length)]
    let [right, teacherRight, same, onlyOwn, onlyTheirs, divergence] = [0, 0, 0, 0, 0, 0]
    const orders: number[] = []
    for (let index = 0; index < size; index++) {
      const [row, teacherRow] = [model.row(index), teacher.row(index)]
      const [decision, teacherDecision] = [largest(row), largest(teacherRow)]
      const label = labels[index]!
      own.add(label, decision)
      theirs.add(label, teacherDecision)
      const [hit, teacherHit] = [decision === label, teacherDecision === label]
      right += Number(hit)
      teacherRight += Number(teacherHit)
      same += Number(decision >= 0 && decision === teacherDecision)
      onlyOwn += Number(hit && !teacherHit)
      onlyTheirs += Number(teacherHit && !hit)
      divergence += klDivergence(teacherRow, row)
      // Of two classes the order says no more than the decision.
      const order = classes.length > 2 && decision >= 0 && teacherDecision >= 0
      if (order) orders.push(spearman(row, teacherRow) ?? 0)
    }
    return {
      accuracy: teacherRight ? right / teacherRight : 0,
      agreement: same / Math.max(1, size),
      klDivergence: finite(divergence / Math.max(1, size)),
      perClass: classRatios(byName(classes, theirs.recall()), byName(classes, own.recall())),
      p: mcnemarExact(onlyOwn, onlyTheirs),
      measures: orders.length > 0 ? { 'rank-correlation': meanOf(orders) } : {},
    }
  },

  agreement(one, other) {
    let same = 0
    for (let index = 0; index < one.size; index++) {
      const decision = largest(one.row(index))
      same += Number(decision >= 0 && decision === largest(other.row(index)))
    }
    return same / Math.max(1, one.size)
  },

  chance: ({ classes }) => 1 / classes.length,
}

/** How many classes stand before one, of equals those that come first. */
function placeOf(row: Float32Array, label: number): number {
  let before = 0
  for (let i = 0; i < row.length; i++)
    if (row[i]! > row[label]! || (i < label && row[i] === row[label])) before++
  return before
}

/** Each class against the rest, by its probability. */
function rankedOnes(predictions: Predictions, { classes, labels, size }: Truth) {
  return classCurves(size, classes.length, (index, first, scores, truth) => {
    const row = predictions.row(index)
    const decided = largest(row) >= 0
    const probabilities = decided ? logSoftmax(row) : undefined
    for (let i = 0; i < scores.length; i++) {
      scores[i] = probabilities?.[first + i] ?? Number.NaN
      truth[i] = Number(labels[index] === first + i)
    }
  })
}
