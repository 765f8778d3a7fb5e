// Variants of a run compared with each other on the same samples.
import { expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { mcnemarExact } from '../../base/statistics.ts'
import { rivalsOf } from '../../benchmarks/rivals.ts'
import type { Findings } from '../../benchmarks/subject.ts'
import { tasks } from '../../tasks/index.ts'
import { reportFixture } from '../support/report-fixture.ts'

const size = 300
const { integer, uniform } = random(5, 'rivals')
const labels = Int32Array.from({ length: size }, () => integer(3))

/** Which samples a model has right, and outputs that say so. */
function modelOf(id: string, from: string | null, share: number) {
  const right = Array.from({ length: size }, () => uniform() < share)
  const row = (index: number) => {
    const decision = (labels[index]! + (right[index] ? 0 : 1)) % 3
    return Float32Array.from({ length: 3 }, (_, at) => (at === decision ? -0.1 : -3))
  }
  const predictions = { size, width: 3, widths: [3], row }
  const value = right.filter(Boolean).length / size
  const accuracy = { metric: 'top1', value, interval: [value, value] as [number, number] }
  return {
    right,
    row: { ...reportFixture().variants[0]!, id, from, accuracy },
    found: { subject: { id, from }, predictions } as unknown as Findings,
  }
}

const models = [
  modelOf('teacher', null, 0.95),
  modelOf('first', 'teacher', 0.9),
  modelOf('second', 'first', 0.8),
  modelOf('other', 'teacher', 0.7),
] as const
const measured = {
  rows: models.map(({ row }) => row),
  findings: models.map(({ found }) => found),
}
const data = { size, labels, classes: ['a', 'b', 'c'] }
const context = { task: tasks.classification, data } as unknown as Parameters<typeof rivalsOf>[3]
const compare = (index: number, rivals = {}) =>
  rivalsOf(models[index]!.row, rivals, measured, context)

it('compares a variant with the one that it was made from, and with those that are asked for', () => {
  const [, first, second, other] = models
  const against = compare(2, { second: ['other', 'teacher', 'nobody'] })!
  expect(Object.keys(against).sort()).toEqual(['first', 'other'])
  for (const rival of [first, other]) {
    const only = (mine: readonly boolean[], theirs: readonly boolean[]) =>
      mine.filter((hit, index) => hit && !theirs[index]).length
    const { difference, p } = against[rival.row.id]!
    expect(p).toBe(mcnemarExact(only(second.right, rival.right), only(rival.right, second.right)))
    expect(difference).toBeCloseTo(second.row.accuracy.value - rival.row.accuracy.value, 12)
  }
  expect(compare(2)).toEqual({ first: against.first })
})

it('says nothing of the teacher, which all are compared with, nor of what was not judged', () => {
  expect(compare(0)).toBeUndefined()
  expect(compare(1)).toBeUndefined()
  const unjudged = { ...models[2].row, accuracy: null }
  expect(
    rivalsOf(unjudged, {}, { ...measured, rows: [models[0].row, unjudged] }, context),
  ).toBeUndefined()
})
