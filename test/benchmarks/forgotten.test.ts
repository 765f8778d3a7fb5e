import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { findForgotten, type SamplesOptions } from '../../benchmarks/forgotten.ts'
import type { ProviderContext } from '../../benchmarks/provider.ts'
import type { Findings } from '../../benchmarks/subject.ts'
import { tasks } from '../../tasks/index.ts'
import type { Predictions } from '../../tasks/task.ts'

const classes = ['cat', 'dog', 'bird']
const labels = Int32Array.of(0, 0, 1, 1, 2, 2)

/** A model that gives each sample so sure an answer. */
const model = (id: string, answers: readonly (readonly [answer: number, sureness: number])[]) => {
  const predictions: Predictions = {
    size: labels.length,
    width: 3,
    row: (index) => {
      const [answer, sureness] = answers[index]!
      return Float32Array.from(classes, (_, label) => (label === answer ? sureness : 0))
    },
  }
  // What is looked at of a model is who it is and what it says.
  return { subject: { id }, predictions } as unknown as Findings
}

const teacher = model('teacher', [
  [0, 4],
  [0, 4],
  [1, 4],
  [1, 9],
  [2, 4],
  [0, 4],
])
const weak = model('weak', [
  [0, 4],
  [1, 2],
  [1, 4],
  [2, 8],
  [0, 1],
  [2, 4],
])
const odd = model('odd', [
  [2, 1],
  [0, 4],
  [1, 4],
  [1, 4],
  [2, Number.NaN],
  [1, 1],
])

const logs: string[] = []
const context = {
  task: tasks.classification,
  data: { source: 'pets', size: 6, classes, labels, group: 1, targetNames: [], targetWidth: 0 },
  signal: undefined,
  log: (message: string) => logs.push(message),
} as unknown as ProviderContext
const show: SamplesOptions['show'] = async (samples) =>
  samples.map((sample) => [{ kind: 'text', text: `sample ${sample} ${'x '.repeat(400)}` }])

describe('findForgotten', () => {
  it('counts what was lost of what the teacher had right, and which confusions changed', async () => {
    const found = await findForgotten([teacher, weak, odd], context, undefined)
    expect(found?.samples).toEqual([])
    expect(found?.variants.get('weak')).toEqual({
      count: 3,
      of: 5,
      confusions: expect.arrayContaining([
        { actual: 'cat', answer: 'dog', count: 1, teacher: 0 },
        { actual: 'dog', answer: 'bird', count: 1, teacher: 0 },
      ]),
    })
    // The teacher takes one bird for a cat, and so does this one: that is no change.
    const pairs = found?.variants.get('weak')?.confusions.map(({ actual }) => actual)
    expect(pairs).toEqual(['cat', 'dog'])
    // What is not a number is no answer, and no confusion.
    expect(found?.variants.get('odd')).toMatchObject({ count: 2, of: 5 })
  })

  it('shows samples in turn, with every wrong answer and its confidence', async () => {
    const found = await findForgotten([teacher, weak, odd], context, { count: 3, show })
    const [first, second, third] = found!.samples
    // The surest loss of each: the dog of the first model, then the other's bird, then the first's next class.
    expect([first?.index, second?.index, third?.index]).toEqual([3, 4, 1])
    expect(first).toMatchObject({ actual: 'dog', teacher: { answer: 'dog' } })
    expect(first!.answers).toEqual([
      { variant: 'weak', answer: 'bird', confidence: expect.closeTo(0.9993, 3) },
    ])
    expect(second!.answers.map(({ variant, answer }) => [variant, answer])).toEqual([
      ['weak', 'cat'],
      ['odd', null],
    ])
    expect(first!.texts![0]).toHaveLength(280)
  })

  it('stays within what a page should hold', async () => {
    const pixels = { height: 90, width: 90, channels: 3 }
    const noise: SamplesOptions['show'] = async (samples) =>
      samples.map((sample) => {
        let state = sample + 1
        const bytes = Uint8Array.from({ length: 24_300 }, () => {
          state = (Math.imul(1664525, state) + 1013904223) >>> 0
          return state >>> 24
        })
        return Array.from({ length: 1 }, () => ({ kind: 'image', pixels: { ...pixels, bytes } }))
      })
    const many = (of: Findings, times: number): Findings => ({
      ...of,
      predictions: {
        ...of.predictions!,
        size: labels.length * times,
        row: (index) => of.predictions!.row(index % labels.length),
      },
    })
    const data = {
      ...context.data,
      size: labels.length * 9,
      labels: Int32Array.from({ length: labels.length * 9 }, (_, at) => labels[at % 6]!),
    }
    const found = await findForgotten(
      [many(teacher, 9), many(weak, 9)],
      { ...context, data },
      { count: 24, show: noise },
    )
    const bytes = found!.samples.reduce((sum, { image }) => sum + image!.source.length, 0)
    expect(found!.samples.length).toBeGreaterThan(3)
    expect(bytes).toBeLessThan(200_000)
  })

  it('says that samples cannot be read again, and is silent where there are no classes', async () => {
    const gone: SamplesOptions['show'] = async () => {
      throw new UserError('a.csv: no such file')
    }
    const found = await findForgotten([teacher, weak], context, { count: 9, show: gone })
    expect(found?.samples).toEqual([])
    expect(logs.join()).toContain('a.csv: no such file')
    const regression = { ...context, task: tasks.regression }
    expect(await findForgotten([teacher, weak], regression, undefined)).toBeUndefined()
  })
})
