// Classification: one label a sample, one output a class; the largest output is the prediction.
import { UserError } from '../base/errors.ts'
import {
  expectedCalibrationError,
  klDivergence,
  mcnemarExact,
  softmax,
  wilsonInterval,
} from '../base/statistics.ts'
import { outputKind, toLogits } from './outputs.ts'
import type { Predictions, Task, Truth } from './task.ts'

/** Classification of samples into classes. */
export const classification: Task = {
  losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
  // Hinton et al. 2015: mostly the teacher's softened outputs, a little of the labels.
  distillation: [
    { loss: 'kl', weight: 0.9, temperature: 4 },
    { loss: 'cross-entropy', weight: 0.1, labelSmoothing: 0 },
  ],

  normaliser(graph) {
    const kind = outputKind(graph)
    return ({ outputs, width }) => ({ outputs: toLogits(outputs, kind), width })
  },

  check(width, { classes, source }, where) {
    if (width !== classes.length)
      throw new UserError(
        `${where}: its outputs do not fit the labels: ${width} outputs for the ${classes.length} classes of data '${source}' — use data with the model's classes`,
      )
  },

  evaluate(predictions, truth) {
    const decisions = classification.decide(predictions)
    const right = rightAnswers(decisions, truth)
    const undecided = count(decisions, (decision) => decision < 0)
    const confidences = Float64Array.from(decisions, (decision, index) =>
      decision < 0 ? Number.NaN : softmax(rowOf(predictions, index))[decision]!,
    )
    const total = sum(right)
    return {
      accuracy: {
        top1: total / Math.max(1, right.length),
        top1Interval: wilsonInterval(total, right.length),
        perClass: byClass(truth, (samples, correct) => (samples ? correct / samples : null), right),
      },
      calibrationError: undecided ? null : expectedCalibrationError(confidences, right),
      undecided,
    }
  },

  retain(teacher, model, truth) {
    const decisions = classification.decide(model)
    const teacherDecisions = classification.decide(teacher)
    const right = rightAnswers(decisions, truth)
    const teacherRight = rightAnswers(teacherDecisions, truth)
    const same = count(
      decisions,
      (decision, i) => decision >= 0 && decision === teacherDecisions[i],
    )
    return {
      accuracy: sum(teacherRight) ? sum(right) / sum(teacherRight) : 0,
      agreement: same / Math.max(1, decisions.length),
      klDivergence: meanDivergence(teacher, model, decisions.length),
      perClass: byClass(
        truth,
        (_samples, correct, teacherCorrect) => (teacherCorrect ? correct / teacherCorrect : null),
        right,
        teacherRight,
      ),
      mcnemarP: mcnemarExact(
        count(right, (value, i) => value > teacherRight[i]!),
        count(right, (value, i) => value < teacherRight[i]!),
      ),
    }
  },

  decide(predictions) {
    const rows = predictions.outputs.length / predictions.width
    return Int32Array.from({ length: rows }, (_, index) => largest(rowOf(predictions, index)))
  },

  chance: ({ classes }) => 1 / classes.length,
}

const rowOf = ({ outputs, width }: Predictions, index: number): Float32Array =>
  outputs.subarray(index * width, (index + 1) * width)

/** The position of the largest number, the first of equals; -1 where none can be told. */
function largest(row: Float32Array): number {
  let best = -1
  for (let i = 0; i < row.length; i++) {
    const value = row[i]!
    if (Number.isNaN(value) || value === Number.POSITIVE_INFINITY) return -1
    // Minus infinity is a class ruled out: the logarithm of 0.
    if (value > (row[best] ?? Number.NEGATIVE_INFINITY)) best = i
  }
  return best
}

const rightAnswers = (decisions: Int32Array, { labels }: Truth): Uint8Array =>
  Uint8Array.from(decisions, (decision, index) => Number(decision === labels[index]))

function meanDivergence(teacher: Predictions, model: Predictions, size: number): number | null {
  let total = 0
  for (let i = 0; i < size; i++) total += klDivergence(rowOf(teacher, i), rowOf(model, i))
  return Number.isFinite(total) ? total / Math.max(1, size) : null
}

/** A number for each class, made of its count of samples and of the right answers of each list. */
function byClass(
  { classes, labels }: Truth,
  share: (samples: number, ...right: number[]) => number | null,
  ...lists: readonly Uint8Array[]
): Record<string, number | null> {
  const samples = new Float64Array(classes.length)
  const right = lists.map(() => new Float64Array(classes.length))
  for (const [index, label] of labels.entries()) {
    samples[label]!++
    for (const [list, answers] of lists.entries()) right[list]![label]! += answers[index]!
  }
  return Object.fromEntries(
    classes.map((name, label) => [name, share(samples[label]!, ...right.map((of) => of[label]!))]),
  )
}

const sum = (values: Uint8Array): number => values.reduce((total, value) => total + value, 0)

function count(
  values: Int32Array | Uint8Array,
  holds: (value: number, index: number) => boolean,
): number {
  let total = 0
  for (let i = 0; i < values.length; i++) if (holds(values[i]!, i)) total++
  return total
}
