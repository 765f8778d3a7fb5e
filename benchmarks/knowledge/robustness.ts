// How well a model bears a change of its input, next to how well the teacher bears it.
import { largest, ratioTo } from '../../tasks/predictions.ts'
import type { Predictions, Task, Truth } from '../../tasks/task.ts'
import type { Knowledge } from '../report/report.ts'
import { ratioOfPairedShares } from '../statistics.ts'

/** How a model answers at one strength of a change. */
export type Bearing = NonNullable<Knowledge['robustness'][string]>[number]

/**
 * Judges predictions for changed samples, and compares them with the teacher's for samples that were changed in the same way:
 * the main figure, its ratio to the teacher's, and how alike the decisions are.
 */
export function bearingOf(
  teacher: Predictions,
  model: Predictions,
  truth: Truth,
  task: Task,
): Omit<Bearing, 'strength'> {
  const agreement = task.agreement(teacher, model, truth)
  if (task.target === 'class') return { agreement, ...ofClassifiers(teacher, model, truth) }
  const own = task.evaluate(model, truth, teacher).accuracy.value
  const theirs = task.evaluate(teacher, truth, teacher).accuracy.value
  const ratio = theirs > 0 ? ratioTo(theirs, own) : null
  return { value: own, agreement, ratio, interval: null }
}

function ofClassifiers(teacher: Predictions, model: Predictions, { labels, size }: Truth) {
  let [both, onlyFirst, onlySecond] = [0, 0, 0]
  for (let index = 0; index < size; index++) {
    const label = labels[index]!
    const hit = largest(model.row(index)) === label
    const teacherHit = largest(teacher.row(index)) === label
    both += Number(hit && teacherHit)
    onlyFirst += Number(hit && !teacherHit)
    onlySecond += Number(teacherHit && !hit)
  }
  const ratio = ratioOfPairedShares({ both, onlyFirst, onlySecond })
  return {
    value: (both + onlyFirst) / Math.max(1, size),
    ratio: ratio?.value ?? null,
    interval: ratio?.interval ?? null,
  }
}
