// Regression: one number or several a sample; R² says how much of their spread is explained.
import { pairedP } from '../base/bootstrap.ts'
import { type Explained, explain, explainedShare } from './explained.ts'
import { meanOf, ratioTo } from './predictions.ts'
import type { Predictions, Task, Truth } from './task.ts'

/** More outputs than this are not listed one by one. */
const mostListed = 20

/** Prediction of numbers; all figures but R² are in the unit of the targets as the data gives them. */
export const regression: Task = {
  summary: 'One number or several a sample; R² says how much of their spread is explained',
  target: 'values',
  agreementIs: "R² of the answers, with the teacher's in place of the truth",
  outputs: 'first',
  losses: [{ loss: 'squared-error', weight: 1 }],
  distillation: [
    { loss: 'mse', weight: 0.5, distance: 'squared' },
    { loss: 'squared-error', weight: 0.5 },
  ],

  normaliser: () => (predictions) => predictions,
  width: ({ targetWidth }) => targetWidth,

  evaluate(predictions, truth) {
    const found = compare(predictions, truth)
    const { value, interval, parts, undecided } = found
    const rmse = parts.map(({ meanSquare }) => Math.sqrt(meanSquare))
    const names = parts.map((_, part) => truth.targetNames[part] ?? `output ${part + 1}`)
    const each =
      parts.length === 1 || parts.length > mostListed
        ? []
        : parts.flatMap(({ r2, meanAbsolute }, part) => [
            [`r2.${names[part]}`, r2] as const,
            [`mae.${names[part]}`, meanAbsolute] as const,
            [`rmse.${names[part]}`, rmse[part]!] as const,
          ])
    return {
      accuracy: {
        metric: 'r2',
        value,
        interval,
        metrics: {
          r2: parts.every(({ r2 }) => r2 === null) ? null : value,
          mae: meanOf(parts.map(({ meanAbsolute }) => meanAbsolute)),
          rmse: meanOf(rmse),
          'max-error': Math.max(0, ...parts.map(({ largest }) => largest)),
          ...Object.fromEntries(each),
        },
      },
      calibrationError: null,
      undecided,
    }
  },

  retain(teacher, model, truth) {
    const [own, theirs] = [compare(model, truth), compare(teacher, truth)]
    const likeness = between(teacher, model)
    return {
      accuracy: ratioTo(theirs.value, own.value),
      agreement: Math.max(0, Math.min(1, likeness.value)),
      klDivergence: null,
      perClass: {},
      p: pairedP(own.contributions, theirs.contributions, explainedShare),
      measures: {
        fidelity: likeness.value,
        mae: meanOf(likeness.parts.map(({ meanAbsolute }) => meanAbsolute)),
      },
    }
  },

  agreement: (one, other) => Math.max(0, Math.min(1, between(other, one).value)),

  // The mean of the targets explains nothing.
  chance: () => 0,
}

/** Every output is a part of its own. */
const columns = (width: number): number[] => new Array<number>(width).fill(1)

function compare(predictions: Predictions, truth: Truth): Explained {
  const targets = new Float32Array(truth.targetWidth)
  const read = (sample: number) => {
    truth.target(sample, targets, 0)
    return targets
  }
  return explain(predictions, read, columns(truth.targetWidth))
}

const between = (teacher: Predictions, model: Predictions): Explained =>
  explain(model, (sample) => teacher.row(sample), columns(teacher.width))
