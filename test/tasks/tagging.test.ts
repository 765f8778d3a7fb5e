import { describe, expect, it } from '@jest/globals'
import { entitiesOf, tagsOf } from '../../tasks/entities.ts'
import { tasks } from '../../tasks/index.ts'
import type { Predictions } from '../../tasks/task.ts'
import { said, truthOf } from './truth.ts'

const { tagging } = tasks
const classes = ['O', 'B-per', 'I-per', 'B-org', 'I-org']

const truth = truthOf({
  classes,
  targetWidth: 4,
  targets: [1, 2, 0, -1, 3, 4, 4, 0, 0, 1, -1, -1],
})

/** Logits `[3, 4, 5]` that prefer the given classes. */
const preferring = (...chosen: number[]): Predictions =>
  said(
    chosen.flatMap((one) => classes.map((_, each) => (each === one ? 5 : 0))),
    20,
  )

describe('tagging', () => {
  const predictions = preferring(1, 2, 3, 4, 3, 4, 2, 0, 0, 1, 1, 1)

  it('counts the positions that count, alone', () => {
    const { accuracy } = tagging.evaluate(predictions, truth, predictions)
    expect(accuracy.metric).toBe('accuracy')
    // Nine positions count; the third of the first sample and of the second are wrong.
    expect(accuracy.value).toBeCloseTo(7 / 9, 12)
    expect(accuracy.perClass).toEqual({
      O: 2 / 3,
      'B-per': 1,
      'I-per': 1,
      'B-org': 1,
      'I-org': 0.5,
    })
  })

  it('counts whole entities where classes are tags', () => {
    const { metrics } = tagging.evaluate(predictions, truth, predictions).accuracy
    // There are per 0-2, org 0-3 and per 1-2; found are per 0-2, org 2-3, org 0-2, per 2-3 and per 1-2.
    expect(metrics['entity-precision']).toBeCloseTo(2 / 5, 12)
    expect(metrics['entity-recall']).toBeCloseTo(2 / 3, 12)
    expect(metrics['entity-f1']).toBeCloseTo(0.5, 12)
    const plain = { ...truth, classes: ['a', 'b', 'c', 'd', 'e'] }
    const other = tagging.evaluate(predictions, plain, predictions).accuracy.metrics
    expect(other).not.toHaveProperty('entity-f1')
  })

  it('compares with the teacher where positions count', () => {
    const teacher = preferring(1, 2, 0, 0, 3, 4, 4, 0, 0, 1, 0, 0)
    const retention = tagging.retain(teacher, predictions, truth)
    expect(retention.accuracy).toBeCloseTo(7 / 9, 12)
    expect(retention.agreement).toBeCloseTo(7 / 9, 12)
    expect(retention.perClass['I-org']).toBe(0.5)
    expect(tagging.agreement(teacher, predictions, truth)).toBeCloseTo(7 / 9, 12)
  })

  it('takes a position without an answer for wrong', () => {
    const outputs = Float32Array.from({ length: 60 }, (_, i) =>
      i === 3 ? Number.NaN : predictions.row(Math.floor(i / 20))[i % 20]!,
    )
    const broken = said(outputs, 20)
    const { accuracy, undecided, calibrationError } = tagging.evaluate(broken, truth, broken)
    expect(accuracy.value).toBeCloseTo(6 / 9, 12)
    expect(undecided).toBe(1)
    expect(calibrationError).toBeNull()
  })

  it('wants an output a position and class', () => {
    expect(tagging.width(truth)).toBe(20)
  })
})

describe('entities', () => {
  // The rules of the scorer of CoNLL-2000: what begins wrongly is an entity all the same.
  const names = ['O', 'B-x', 'I-x', 'E-x', 'S-x', 'B-y', 'I-y']
  const tags = tagsOf(names)!
  it.each([
    ['B-x I-x O', ['0-2-x']],
    ['B-x B-x', ['0-1-x', '1-2-x']],
    ['O I-x I-x', ['1-3-x']],
    ['B-x I-y', ['0-1-x', '1-2-y']],
    ['I-x B-x I-x', ['0-1-x', '1-3-x']],
    ['B-x I-x E-x E-x', ['0-3-x', '3-4-x']],
    ['S-x I-x', ['0-1-x', '1-2-x']],
    ['S-x S-x O', ['0-1-x', '1-2-x']],
    ['B-x ? I-x', ['0-1-x', '2-3-x']],
    ['O O', []],
  ])('of %s are %j', (row, expected) => {
    const labels = row.split(' ').map((name) => names.indexOf(name))
    expect([...entitiesOf(labels, tags)]).toEqual(expected)
  })

  it('are none where classes are no tags', () => {
    expect(tagsOf(['noun', 'verb'])).toBeUndefined()
    expect(tagsOf(['O', 'B-'])).toBeUndefined()
    expect(tagsOf(['O'])).toBeUndefined()
  })
})
