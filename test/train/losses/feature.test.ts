import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, type LossCase } from '../loss-harness.ts'
import { inner, rowsOf } from './arrays.ts'

const [batch, channels, size] = [3, 4, 5]
const shape = [batch, channels, size, size]
const pair = { taps: [{ teacher: 't', student: 's' }] }

const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length
const difference = (x: Readonly<Record<string, Float64Array>>) =>
  x['student/s']!.map((value, index) => value - x['teacher/t']![index]!)

const cases: readonly LossCase[] = [
  {
    title: 'squares',
    terms: [{ loss: 'feature', ...pair }],
    taps: { s: { shape } },
    teacherTaps: { t: { shape } },
    expected: (x) => mean(difference(x).map((value) => value ** 2)),
  },
  {
    title: 'absolute values',
    terms: [{ loss: 'feature', distance: 'absolute', ...pair }],
    taps: { s: { shape } },
    teacherTaps: { t: { shape } },
    expected: (x) => mean(difference(x).map(Math.abs)),
  },
  {
    title: 'cosines of samples',
    terms: [{ loss: 'feature', distance: 'cosine', ...pair }],
    taps: { s: { shape } },
    teacherTaps: { t: { shape } },
    expected: (x) => {
      const [own, theirs] = [rowsOf(x['student/s']!, batch), rowsOf(x['teacher/t']!, batch)]
      const cosines = own.map(
        (row, n) =>
          inner(row, theirs[n]!) / Math.sqrt(inner(row, row) * inner(theirs[n]!, theirs[n]!)),
      )
      return 1 - mean(Float64Array.from(cosines))
    },
  },
  {
    title: 'a connector for the channels',
    terms: [{ loss: 'feature', weight: 3, ...pair }],
    taps: { s: { shape: [batch, 2, size, size] } },
    teacherTaps: { t: { shape } },
    expected: (x) => {
      const weight = x['feature.connector0.0.weight']!
      const area = size * size
      const own = x['teacher/t']!.map((_, index) => {
        const [n, c, at] = [
          Math.floor(index / (channels * area)),
          Math.floor(index / area) % channels,
          index % area,
        ]
        return [0, 1].reduce(
          (sum, from) => sum + weight[c * 2 + from]! * x['student/s']![(n * 2 + from) * area + at]!,
          0,
        )
      })
      return 3 * mean(own.map((value, index) => (value - x['teacher/t']![index]!) ** 2))
    },
  },
]

describe('the distance of features', () => {
  it.each(cases)('is what the formula says, with its gradient: $title', expectLoss)

  it('is refused where shapes do not fit', async () => {
    await expect(
      computedLoss({
        ...cases[0]!,
        taps: { s: { shape: [batch, channels, 2, 2] } },
        terms: [{ loss: 'feature', ...pair, connector: 'none' }],
      }),
    ).rejects.toThrow(
      "test: taps do not fit: the student's 'tap/s' [3,4,2,2], the teacher's [3,4,5,5] — use a connector, or other taps",
    )
  })
})
