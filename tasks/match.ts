// Matching: no labels at all; a student is as good as its outputs are close to the teacher's.
import { UserError } from '../base/errors.ts'
import { type Explained, explain } from './explained.ts'
import { meanOf } from './predictions.ts'
import type { Predictions, Task } from './task.ts'

/** The most decibels: float32 itself is no more exact, and equal outputs would have infinitely many. */
export const mostDecibels = 150

/** Likeness to the teacher in all outputs, which count alike whatever their scale; works for any model. */
export const match: Task = {
  summary: 'No labels: all outputs should be those of the teacher',
  target: 'none',
  agreementIs: "R² of all outputs, with the teacher's in place of the truth",
  outputs: 'all',
  // Without a teacher there is nothing to learn but the input.
  losses: [{ loss: 'reconstruction', weight: 1 }],
  distillation: [{ loss: 'match', weight: 1 }],

  normaliser: () => (predictions) => predictions,
  width: () => undefined,

  evaluate(predictions, _truth, teacher) {
    const { value, interval, parts, cosine, undecided } = compare(teacher, predictions)
    return {
      accuracy: {
        metric: 'fidelity',
        value,
        interval,
        metrics: {
          fidelity: value,
          cosine,
          psnr: meanOf(parts.map(({ range, meanSquare }) => decibels(range, meanSquare))),
          mae: meanOf(parts.map(({ meanAbsolute }) => meanAbsolute)),
          'max-error': Math.max(0, ...parts.map(({ largest }) => largest)),
        },
      },
      calibrationError: null,
      undecided,
    }
  },

  retain(teacher, model) {
    const { value, cosine } = compare(teacher, model)
    return {
      // The teacher's own figure is 1.
      accuracy: Math.max(0, value),
      agreement: Math.max(0, Math.min(1, value)),
      klDivergence: null,
      perClass: {},
      p: null,
      measures: { cosine },
    }
  },

  agreement: (one, other) => Math.max(0, Math.min(1, compare(other, one).value)),

  chance: () => 0,
}

function compare(teacher: Predictions, model: Predictions): Explained {
  if (model.width !== teacher.width)
    throw new UserError(
      `match: the outputs are not of the size of the teacher's: ${model.width} numbers a sample, not ${teacher.width} — use a model with the same outputs`,
    )
  const widths = teacher.widths ?? [teacher.width]
  return explain(model, (sample) => teacher.row(sample), widths)
}

/** Peak signal-to-noise ratio; null where the teacher's output has no range. */
function decibels(range: number, meanSquare: number): number | null {
  if (range === 0) return null
  return Math.min(mostDecibels, 10 * Math.log10(range ** 2 / meanSquare))
}
