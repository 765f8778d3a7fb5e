import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, type LossCase } from '../loss-harness.ts'

type Tensors = Readonly<Record<string, Float64Array>>

const [batch, width] = [4, 3]
const shape = [batch, width]
const given = { outputs: [{ shape }], teacher: [{ shape }], facts: { batch } }
const valued = { ...given, values: { shape } }

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
const mean = (values: readonly number[]) => sum(values) / values.length
const row = (values: Float64Array, at: number) => [...values.subarray(at * width, (at + 1) * width)]
const overRows = (f: (at: number) => number, rows = [0, 1, 2, 3]) => mean(rows.map(f))
const distances = (x: Tensors, at: number) => {
  const theirs = row(x.teacher0!, at)
  return row(x.output0!, at).map((each, index) => each - theirs[index]!)
}
const cosine = (a: readonly number[], b: readonly number[]) =>
  sum(a.map((each, index) => each * b[index]!)) / (Math.hypot(...a) * Math.hypot(...b))

/** Chen et al. 2017, equation 4. */
const bounded = (margin: number) => (x: Tensors) =>
  overRows((at) => {
    const wanted = row(x.values!, at)
    const error = (answer: readonly number[]) =>
      mean(answer.map((each, index) => (each - wanted[index]!) ** 2))
    const [own, theirs] = [error(row(x.output0!, at)), error(row(x.teacher0!, at))]
    return own + margin > theirs ? own : 0
  })

// The student is worse than the teacher, better by 0.25, better by 2.25, and as good.
const bound = {
  outputs: [{ shape: [4, 1], content: [3, 0.5, 0, -1] }],
  teacher: [{ shape: [4, 1], content: [1, Math.SQRT1_2, 1.5, 1] }],
  values: { shape: [4, 1], content: [0, 0, 0, 0] },
  facts: { batch: 4 },
}

const tagged = {
  outputs: [{ shape: [2, 2, width] }],
  teacher: [{ shape: [2, 2, width] }],
  targets: { shape: [4, width], content: [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] },
  facts: { batch: 2, classes: width },
}

const cases: readonly LossCase[] = [
  {
    ...given,
    title: 'squares',
    terms: [{ loss: 'mse' }],
    expected: (x) => overRows((at) => mean(distances(x, at).map((each) => each ** 2))),
  },
  {
    ...given,
    title: 'absolute values',
    terms: [{ loss: 'mse', distance: 'absolute' }],
    expected: (x) => overRows((at) => mean(distances(x, at).map(Math.abs))),
  },
  {
    ...given,
    title: 'cosines',
    terms: [{ loss: 'mse', distance: 'cosine' }],
    expected: (x) => overRows((at) => 1 - cosine(row(x.output0!, at), row(x.teacher0!, at))),
  },
  {
    ...tagged,
    title: 'squares at the positions that count',
    terms: [{ loss: 'mse' }, { loss: 'cross-entropy', weight: 0 }],
    expected: (x) => overRows((at) => mean(distances(x, at).map((each) => each ** 2)), [0, 2, 3]),
  },
  {
    ...given,
    title: 'squares, hard examples first',
    terms: [{ loss: 'mse' }],
    facts: { batch, classes: width, focus: { by: 'teacher', power: 1 } },
    expected: (x) => {
      const unsure = [0, 1, 2, 3].map((at) => {
        const powers = row(x.teacher0!, at).map(Math.exp)
        return 1 - Math.max(...powers) / sum(powers)
      })
      return overRows(
        (at) => (unsure[at]! / mean(unsure)) * mean(distances(x, at).map((each) => each ** 2)),
      )
    },
  },
  { ...valued, title: 'bound', terms: [{ loss: 'teacher-bound' }], expected: bounded(0) },
  {
    ...valued,
    title: 'bound with a margin',
    terms: [{ loss: 'teacher-bound', margin: 0.8, weight: 0.5 }],
    expected: (x) => 0.5 * bounded(0.8)(x),
  },
]

const found = (entry: Omit<LossCase, 'expected' | 'title'>) =>
  computedLoss({ ...entry, title: 'other', expected: () => 0 })

describe('losses on outputs as numbers', () => {
  it.each(cases)('are what the formula says, with the gradient: $title', expectLoss)

  it.each([['squared'], ['absolute'], ['cosine']])(
    'mse by %s distances is zero for the same outputs, and finite for zeros',
    async (distance) => {
      const terms = [{ loss: 'mse', distance }]
      const content = [1, -2, 3, 4, 0.5, 6, -7, 8, 9, 1, 1, 2]
      const same = [{ shape, content }]
      const { value, gradients } = await found({ ...given, terms, outputs: same, teacher: same })
      expect(Math.abs(value)).toBeLessThan(1e-6)
      expect(Math.hypot(...Array.from(gradients.output0!))).toBeLessThan(1e-6)
      const zeros = [{ shape, content: new Array(12).fill(0) }]
      const other = await found({ ...given, terms, outputs: zeros, teacher: same })
      expect([other.value, ...Array.from(other.gradients.output0!)].every(Number.isFinite)).toBe(
        true,
      )
    },
  )

  it.each([
    [0, [3]],
    [0.3, [3, 0.5, -1]],
    [3, [3, 0.5, 0, -1]],
  ])(
    'only what is worse than the teacher by less than the margin of %d counts',
    async (margin, kept) => {
      const { value, gradients } = await found({
        ...bound,
        terms: [{ loss: 'teacher-bound', margin }],
      })
      expect(value).toBeCloseTo(sum(kept.map((each) => each ** 2)) / 4, 6)
      const pushed = bound.outputs[0]!.content.map((each) =>
        kept.includes(each) ? (2 * each) / 4 : 0,
      )
      for (const [at, slope] of Array.from(gradients.output0!).entries())
        expect(slope).toBeCloseTo(pushed[at]!, 6)
    },
  )
})
