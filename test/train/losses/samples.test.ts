import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, type LossCase } from '../loss-harness.ts'
import { inner, minus, rowsOf, sumOver, unitVector } from './arrays.ts'

const batch = 5
const taps = [{ teacher: 't', student: 's' }]
const term = (loss: string, options: object = {}) => [{ loss, taps, ...options }]
const own = { s: { shape: [batch, 3, 2, 2] } }
const taught = { t: { shape: [batch, 7] } }

type Tensors = Readonly<Record<string, Float64Array>>
const student = (x: Tensors) => rowsOf(x['student/s']!, batch)
const teacher = (x: Tensors) => rowsOf(x['teacher/t']!, batch)

/** Mean over all pairs, the diagonal too, of the squared difference of two matrices. */
const meanSquare = (a: readonly number[][], b: readonly number[][]) =>
  sumOver(batch, (i) => sumOver(batch, (j) => (a[i]![j]! - b[i]![j]!) ** 2)) / batch ** 2

const alike = (rows: readonly number[][]) =>
  rows.map((a) => unitVector(rows.map((b) => inner(a, b))))

const kernels = (rows: readonly number[][], kernel: (product: number) => number) =>
  rows.map((a) => rows.map((b) => kernel(inner(unitVector(a), unitVector(b)))))

const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1))
const taylor = (gamma: number, order: number) => (product: number) =>
  sumOver(order + 1, (p) => (Math.exp(-2 * gamma) * (2 * gamma) ** p * product ** p) / factorial(p))

/** By sample, how likely each other one is its neighbour. */
const neighbours = (rows: readonly number[][], i: number, j: number) => {
  const near = (k: number) => (inner(unitVector(rows[i]!), unitVector(rows[k]!)) + 1) / 2
  return near(j) / (sumOver(batch, near) - near(i))
}

const length = (a: readonly number[]) => Math.sqrt(inner(a, a))
const huber = (x: number) => (Math.abs(x) <= 1 ? x ** 2 / 2 : Math.abs(x) - 0.5)
const distances = (rows: readonly number[][]) => {
  const apart = rows.map((a) => rows.map((b) => length(minus(a, b))))
  const mean = apart.flat().reduce((sum, value) => sum + value, 0) / (batch * (batch - 1))
  return apart.map((row) => row.map((value) => value / mean))
}
const angle = (rows: readonly number[][], i: number, j: number, k: number) =>
  inner(unitVector(minus(rows[i]!, rows[j]!)), unitVector(minus(rows[k]!, rows[j]!)))

const distanceLoss = (x: Tensors) => {
  const [s, t] = [distances(student(x)), distances(teacher(x))]
  const all = sumOver(batch, (i) => sumOver(batch, (j) => huber(s[i]![j]! - t[i]![j]!)))
  return all / (batch * (batch - 1))
}
const angleLoss = (x: Tensors) => {
  const [s, t] = [student(x), teacher(x)]
  let [sum, count] = [0, 0]
  for (let i = 0; i < batch; i++)
    for (let j = 0; j < batch; j++)
      for (let k = 0; k < batch; k++) {
        if (i === j || j === k || i === k) continue
        sum += huber(angle(s, i, j, k) - angle(t, i, j, k))
        count += 1
      }
  return sum / count
}

const cases: readonly LossCase[] = [
  {
    title: 'similarity',
    terms: term('similarity'),
    taps: own,
    teacherTaps: taught,
    expected: (x) => meanSquare(alike(student(x)), alike(teacher(x))),
  },
  {
    title: 'correlation',
    terms: term('correlation'),
    taps: own,
    teacherTaps: taught,
    expected: (x) =>
      meanSquare(kernels(student(x), taylor(0.4, 2)), kernels(teacher(x), taylor(0.4, 2))),
  },
  {
    title: 'correlation of another order',
    terms: term('correlation', { gamma: 0.7, order: 4 }),
    taps: own,
    teacherTaps: taught,
    expected: (x) =>
      meanSquare(kernels(student(x), taylor(0.7, 4)), kernels(teacher(x), taylor(0.7, 4))),
  },
  {
    title: 'correlation of inner products',
    terms: term('correlation', { kernel: 'bilinear' }),
    taps: own,
    teacherTaps: taught,
    expected: (x) =>
      meanSquare(
        kernels(student(x), (product) => product),
        kernels(teacher(x), (product) => product),
      ),
  },
  {
    title: 'pkt',
    terms: term('pkt'),
    taps: own,
    teacherTaps: taught,
    expected: (x) => {
      const [s, t] = [student(x), teacher(x)]
      const row = (i: number) =>
        sumOver(batch, (j) => {
          if (i === j) return 0
          const p = neighbours(t, i, j)
          return p * Math.log(p / neighbours(s, i, j))
        })
      return sumOver(batch, row) / batch
    },
  },
  {
    title: 'relational',
    terms: term('relational'),
    taps: own,
    teacherTaps: taught,
    expected: (x) => 25 * distanceLoss(x) + 50 * angleLoss(x),
  },
  {
    title: 'relational, distances alone',
    terms: term('relational', { distance: 2, angle: 0 }),
    taps: own,
    teacherTaps: { t: { shape: [batch, 2], content: [0, 0, 0, 1, 1, 0, 9, 9, 1, 1] } },
    expected: (x) => 2 * distanceLoss(x),
  },
  {
    title: 'two taps',
    terms: [{ loss: 'similarity', taps: [...taps, { teacher: 'u', student: 'v' }] }],
    taps: { ...own, v: { shape: [batch, 2] } },
    teacherTaps: { ...taught, u: { shape: [batch, 4, 2] } },
    expected: (x) =>
      (meanSquare(alike(student(x)), alike(teacher(x))) +
        meanSquare(alike(rowsOf(x['student/v']!, batch)), alike(rowsOf(x['teacher/u']!, batch)))) /
      2,
  },
]

const names = ['similarity', 'correlation', 'pkt', 'relational']
const some = Array.from({ length: batch * 4 }, (_, at) => Math.sin(at * at + 1))
const onTensors = (loss: string, s: readonly number[], t: readonly number[], width = 4) =>
  computedLoss({
    title: loss,
    terms: term(loss),
    taps: { s: { shape: [s.length / width, width], content: s } },
    teacherTaps: { t: { shape: [t.length / width, width], content: t } },
    expected: () => 0,
  })

describe('losses of how samples lie to each other', () => {
  it.each(cases)('are what the formula says, with their gradients: $title', expectLoss)

  it.each(names)('are zero for a student like the teacher: %s', async (loss) => {
    const { value } = await onTensors(loss, some, some)
    expect(Math.abs(value)).toBeLessThan(1e-6)
  })

  it.each(names)('are zero where the student is the teacher times a number: %s', async (loss) => {
    const larger = some.map((value) => 3 * value)
    const { value } = await onTensors(loss, larger, some)
    expect(Math.abs(value)).toBeLessThan(1e-5)
  })

  it('do not see where the origin of relations is, nor a rotation', async () => {
    const moved = some.map((_, at) => {
      const [row, column] = [Math.floor(at / 4), at % 4]
      // Axes in another order, one of them turned round, and everything shifted.
      return 5 + (column === 2 ? -1 : 1) * some[row * 4 + ((column + 1) % 4)]!
    })
    const { value } = await onTensors('relational', moved, some)
    expect(Math.abs(value)).toBeLessThan(1e-5)
  })

  it.each(names)('stay finite for equal samples and samples of zeros: %s', async (loss) => {
    for (const s of [some.map(() => 1), some.map((value, at) => (at < 8 ? 0 : value))]) {
      const { value, gradients } = await onTensors(loss, s, some)
      const slopes = Array.from(gradients['student/s']!)
      expect(Number.isFinite(value)).toBe(true)
      expect(slopes.every(Number.isFinite)).toBe(true)
    }
  })

  it.each([
    ['similarity', 1, 2],
    ['correlation', 1, 2],
    ['pkt', 2, 3],
    ['relational', 2, 3],
  ] as const)('are refused for a batch that is too small: %s of %i', async (loss, few, least) => {
    const rows = some.slice(0, few * 4)
    await expect(onTensors(loss, rows, rows)).rejects.toThrow(
      `test: '${loss}' compares samples of a batch with each other: a batch of ${few} — use ${least} or more`,
    )
  })
})
