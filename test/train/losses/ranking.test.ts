import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, type LossCase } from '../loss-harness.ts'

type Tensors = Readonly<Record<string, Float64Array>>

// Three groups of five candidates, and four samples of six classes.
const [groups, group] = [3, 5]
const grouped = {
  outputs: [{ shape: [groups * group, 1] }],
  teacher: [{ shape: [groups * group, 1] }],
  facts: { batch: groups * group, group },
}
const [batch, classes] = [4, 6]
const classified = {
  outputs: [{ shape: [batch, classes] }],
  teacher: [{ shape: [batch, classes] }],
  facts: { batch, classes },
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
const lists = (values: Float64Array, length: number): number[][] =>
  Array.from({ length: values.length / length }, (_, at) => [
    ...values.subarray(at * length, (at + 1) * length),
  ])
const overLists =
  (length: number, f: (student: readonly number[], teacher: readonly number[]) => number) =>
  (x: Tensors): number => {
    const [own, theirs] = [lists(x.output0!, length), lists(x.teacher0!, length)]
    return sum(own.map((list, at) => f(list, theirs[at]!))) / own.length
  }

/** Cao et al. 2007: the cross-entropy of top one probabilities, less what is left when both are equal. */
function listNet(student: readonly number[], teacher: readonly number[], T = 1): number {
  const topOne = (scores: readonly number[]) => {
    const powers = scores.map((score) => Math.exp(score / T))
    return powers.map((power) => power / sum(powers))
  }
  const [p, q] = [topOne(teacher), topOne(student)]
  const crossEntropy = (of: readonly number[]) =>
    -sum(p.map((each, at) => each * Math.log(of[at]!)))
  return T ** 2 * (crossEntropy(q) - crossEntropy(p))
}

/** Tang and Wang 2018: ranks count from 1. */
function rankingDistillation(
  student: readonly number[],
  teacher: readonly number[],
  top: number,
  sharpness: number,
  discrepancy = 0,
): number {
  const order = teacher.map((_, at) => at).sort((a, b) => teacher[b]! - teacher[a]!)
  const ownOrder = student.map((_, at) => at).sort((a, b) => student[b]! - student[a]!)
  let [lost, weights] = [0, 0]
  for (let place = 1; place <= top; place++) {
    const item = order[place - 1]!
    const far = ownOrder.indexOf(item) + 1 - place
    const weight =
      Math.exp(-place / sharpness) *
      (discrepancy > 0 ? Math.tanh(Math.max(discrepancy * far, 0)) : 1)
    weights += weight
    lost -= weight * Math.log(1 / (1 + Math.exp(-student[item]!)))
  }
  return weights === 0 ? 0 : lost / weights
}

const cases: readonly LossCase[] = [
  {
    ...grouped,
    title: 'listwise, groups',
    terms: [{ loss: 'listwise' }],
    expected: overLists(group, (s, t) => listNet(s, t)),
  },
  {
    ...classified,
    title: 'listwise, classes, a temperature on the way',
    terms: [{ loss: 'listwise', temperature: { from: 1, to: 3 } }],
    progress: 0.5,
    expected: overLists(classes, (s, t) => listNet(s, t, 2)),
  },
  {
    ...grouped,
    title: 'rank, groups',
    terms: [{ loss: 'rank', top: 3 }],
    expected: overLists(group, (s, t) => rankingDistillation(s, t, 3, 1)),
  },
  {
    ...grouped,
    title: 'rank, groups, by how far the student is off',
    terms: [{ loss: 'rank', top: 4, sharpness: 2, discrepancy: 0.1 }],
    expected: overLists(group, (s, t) => rankingDistillation(s, t, 4, 2, 0.1)),
  },
  {
    ...classified,
    title: 'rank, classes',
    terms: [{ loss: 'rank', top: 2, sharpness: 0.5, weight: 2 }],
    expected: overLists(classes, (s, t) => 2 * rankingDistillation(s, t, 2, 0.5)),
  },
]

const found = (entry: Omit<LossCase, 'expected' | 'title'>) =>
  computedLoss({ ...entry, title: 'other', expected: () => 0 })

describe('losses on rankings', () => {
  it.each(cases)('are what the formula says, with the gradient: $title', expectLoss)

  it('listwise is zero for the scores of the teacher, whatever is added to those of a group', async () => {
    const scores = Array.from({ length: groups * group }, (_, at) => Math.sin(2 * at))
    const { shape } = grouped.outputs[0]!
    const { value, gradients } = await found({
      ...grouped,
      outputs: [{ shape, content: scores.map((score, at) => score + Math.floor(at / group)) }],
      teacher: [{ shape, content: scores }],
      terms: [{ loss: 'listwise' }],
    })
    expect(Math.abs(value)).toBeLessThan(1e-6)
    expect(Math.hypot(...Array.from(gradients.output0!))).toBeLessThan(1e-6)
  })

  it("rank with a discrepancy is zero for the teacher's order, whatever the scores", async () => {
    const scores = Array.from({ length: groups * group }, (_, at) => Math.sin(2 * at))
    const { shape } = grouped.outputs[0]!
    const { value, gradients } = await found({
      ...grouped,
      outputs: [{ shape, content: scores.map((score) => Math.exp(score)) }],
      teacher: [{ shape, content: scores }],
      terms: [{ loss: 'rank', top: 3, discrepancy: 1 }],
    })
    expect(Math.abs(value)).toBe(0)
    expect(Array.from(gradients.output0!).every((slope) => Math.abs(slope) === 0)).toBe(true)
  })

  it.each([
    ['listwise', {}],
    ['rank', { top: 3 }],
    ['rank', { top: 3, discrepancy: 0.1 }],
  ])('%s %o stays finite for equal and for large scores', async (loss, options) => {
    const { shape } = grouped.outputs[0]!
    for (const scale of [0, 1e4]) {
      const content = Array.from({ length: groups * group }, (_, at) => scale * Math.sin(at))
      const { value, gradients } = await found({
        ...grouped,
        outputs: [{ shape, content }],
        terms: [{ loss, ...options }],
      })
      expect([value, ...Array.from(gradients.output0!)].every(Number.isFinite)).toBe(true)
    }
  })

  it.each([
    [
      'a top as long as the list',
      { ...grouped, terms: [{ loss: 'rank', top: 5 }] },
      "test: 'rank' needs lists longer than its top: top 5 of lists of 5 — use a top of 4 or less",
    ],
    [
      'several scores a candidate',
      {
        outputs: [{ shape: [4, 2] }],
        teacher: [{ shape: [4, 2] }],
        facts: { batch: 4, group: 2 },
        terms: [{ loss: 'listwise' }],
      },
      "test: 'listwise' takes one score for each of a group's candidates: groups of 2, a batch of 4, 2 outputs — use 'kl-binary', or whole groups",
    ],
    [
      'broken groups',
      { ...grouped, facts: { batch: 15, group: 4 }, terms: [{ loss: 'rank', top: 1 }] },
      "test: 'rank' takes one score for each of a group's candidates: groups of 4, a batch of 15, 1 outputs — use 'kl-binary', or whole groups",
    ],
  ])('refuse %s', async (_what, entry, message) => {
    await expect(found(entry)).rejects.toThrow(message)
  })
})
