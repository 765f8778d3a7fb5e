import { describe, expect, it } from '@jest/globals'
import { tasks } from '../../tasks/index.ts'
import type { Evaluation, Predictions, Task } from '../../tasks/task.ts'
import { figures } from './figures.ts'
import { letters, said, truthOf } from './truth.ts'

const {
  classification,
  'multi-label': multiLabel,
  regression,
  ranking,
  similarity,
  match,
} = figures

/** Each task with its predictions and its truth. */
const settings = {
  classification: {
    predictions: said(classification.logits, classification.width),
    truth: truthOf({ classes: letters(7), labels: classification.labels }),
  },
  'multi-label': {
    predictions: said(multiLabel.logits, multiLabel.width),
    truth: truthOf({ classes: letters(4), targets: multiLabel.targets, targetWidth: 4 }),
  },
  regression: {
    predictions: said(regression.outputs, regression.width),
    truth: truthOf({
      ...{ targets: regression.targets, targetWidth: 2 },
      targetNames: ['length', 'weight'],
    }),
  },
  ranking: {
    predictions: said(ranking.outputs, 1),
    truth: truthOf({ targets: ranking.targets, targetWidth: 1, group: ranking.group }),
  },
  similarity: {
    predictions: said(similarity.outputs, similarity.width),
    truth: truthOf({ targets: similarity.targets, targetWidth: 1, group: 2 }),
  },
  match: {
    predictions: said(match.outputs, 5),
    teacher: { ...said(match.teacher, 5), widths: match.parts },
    truth: truthOf({ size: 6 }),
  },
}
const rows = Object.entries(settings) as [
  keyof typeof settings,
  { predictions: Predictions; truth: ReturnType<typeof truthOf>; teacher?: Predictions },
][]

const evaluate = (task: Task, { predictions, truth, teacher }: (typeof rows)[number][1]) =>
  task.evaluate(predictions, truth, teacher ?? predictions)

describe.each(rows)('%s', (name, setting) => {
  const task: Task = tasks[name]
  const { accuracy, undecided }: Evaluation = evaluate(task, setting)

  it('gives the figures of their definitions', () => {
    const expected: Record<string, number> = figures[name].metrics
    expect(Object.keys(accuracy.metrics).sort()).toEqual(Object.keys(expected).sort())
    for (const [metric, value] of Object.entries(expected))
      expect(Math.abs(accuracy.metrics[metric]! - value)).toBeLessThanOrEqual(1e-5 * value)
    expect(undecided).toBe(0)
  })

  it('has a main figure within its interval, the same every time', () => {
    const { metric, value, interval } = accuracy
    expect(accuracy.metrics[metric]).toBe(value)
    expect(interval[0]).toBeLessThan(value)
    expect(interval[1]).toBeGreaterThan(value)
    expect(evaluate(task, setting).accuracy).toEqual(accuracy)
  })

  it('finds nothing missing where model and teacher are the same', () => {
    const { predictions, truth } = setting
    const retention = task.retain(predictions, predictions, truth)
    expect(retention.accuracy).toBeCloseTo(1, 12)
    expect(retention.agreement).toBeCloseTo(1, 12)
    expect(retention.klDivergence ?? 0).toBe(0)
    expect(retention.p ?? 1).toBe(1)
    expect(task.agreement(predictions, predictions, truth)).toBeCloseTo(1, 12)
  })

  it('counts what is not a number as wrong', () => {
    const { predictions, truth, teacher } = setting
    const broken = said(
      new Float32Array(predictions.size * predictions.width).fill(Number.NaN),
      predictions.width,
    )
    const evaluation = task.evaluate(broken, truth, teacher ?? predictions)
    expect(evaluation.undecided).toBe(predictions.size)
    expect(evaluation.accuracy.value).toBeLessThanOrEqual(Math.max(0, task.chance(truth)))
    for (const value of Object.values(evaluation.accuracy.metrics))
      expect(value === null || Number.isFinite(value)).toBe(true)
    const retention = task.retain(predictions, broken, truth)
    expect(retention.agreement).toBe(0)
    expect(retention.klDivergence).toBeNull()
    expect(Number.isFinite(retention.accuracy)).toBe(true)
  })

  it('takes a single broken sample for wrong, never for right', () => {
    const { predictions, truth, teacher } = setting
    const outputs = Float32Array.from({ length: predictions.size * predictions.width }, (_, i) =>
      i === 1
        ? Number.NaN
        : predictions.row(Math.floor(i / predictions.width))[i % predictions.width]!,
    )
    const evaluation = task.evaluate(
      said(outputs, predictions.width),
      truth,
      teacher ?? predictions,
    )
    expect(evaluation.undecided).toBeGreaterThan(0)
    expect(evaluation.accuracy.value).toBeLessThan(1)
    expect(evaluation.accuracy.interval.every(Number.isFinite)).toBe(true)
  })

  it('survives one sample, and a group of two', () => {
    const { predictions, truth, teacher } = setting
    const size = truth.group > 1 ? 2 : 1
    const few = {
      ...truth,
      size,
      labels: truth.labels.subarray(0, size),
      group: Math.min(2, truth.group),
    }
    const head = { ...predictions, size }
    const evaluation = task.evaluate(head, few, teacher ? { ...teacher, size } : head)
    const { value, interval } = evaluation.accuracy
    expect([value, ...interval].every(Number.isFinite)).toBe(true)
    const retention = task.retain(head, head, few)
    expect([retention.accuracy, retention.agreement].every(Number.isFinite)).toBe(true)
    expect(Number.isFinite(task.chance(few))).toBe(true)
  })
})

it('has defaults of losses that the options accept, for every task', async () => {
  const { lossOptions } = await import('../../train/losses.ts')
  for (const { losses, distillation } of Object.values<Task>(tasks))
    for (const term of [...losses, ...distillation]) expect(lossOptions.parse(term)).toEqual(term)
})
