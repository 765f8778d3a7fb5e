// How much of what the teacher knows a model knows too: of the samples that the teacher gets right, those that it gets right
// as well; and of those that the teacher gets wrong, those that it does better.
import { wilsonInterval } from '../../base/statistics.ts'
import { largest } from '../../tasks/predictions.ts'
import type { Predictions, Truth } from '../../tasks/task.ts'
import type { Knowledge } from '../report/report.ts'

/** The degree of knowledge transfer, as a whole and by class. */
export type Transfer = NonNullable<Knowledge['transfer']>

/** Compares the answers of a classifier with the teacher's. */
export function transferOf(teacher: Predictions, model: Predictions, truth: Truth): Transfer {
  const { classes, labels, size } = truth
  const counts = classes.map(() => ({ right: 0, rightOf: 0, wrong: 0, wrongOf: 0 }))
  for (let index = 0; index < size; index++) {
    const label = labels[index]!
    const count = counts[label]
    if (!count) continue
    const hit = Number(largest(model.row(index)) === label)
    if (largest(teacher.row(index)) === label) {
      count.right += hit
      count.rightOf++
    } else {
      count.wrong += hit
      count.wrongOf++
    }
  }
  const sum = (key: keyof (typeof counts)[number]) =>
    counts.reduce((total, count) => total + count[key], 0)
  const share = (hits: number, of: number) => (of > 0 ? hits / of : null)
  const whole = (hits: number, of: number) => ({
    value: share(hits, of),
    interval: wilsonInterval(hits, of),
    of,
  })
  return {
    right: whole(sum('right'), sum('rightOf')),
    wrong: whole(sum('wrong'), sum('wrongOf')),
    perClass: Object.fromEntries(
      counts.map(({ right, rightOf, wrong, wrongOf }, label) => [
        classes[label]!,
        { right: share(right, rightOf), rightOf, wrong: share(wrong, wrongOf), wrongOf },
      ]),
    ),
  }
}
