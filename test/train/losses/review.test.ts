import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, type LossCase, type Tensors } from '../loss-harness.ts'
import { at, layer, made, type Shaped, shaped, sum } from './layers.ts'

type Image = readonly [number, number, number, number]

/** Nearest: each place reads the cell that lies over it. */
const resized = (value: Shaped, height: number, width: number): Shaped =>
  made([value.shape[0]!, value.shape[1]!, height, width], (n, c, h, w) =>
    at(
      value,
      n!,
      c!,
      Math.floor((h! * value.shape[2]!) / height),
      Math.floor((w! * value.shape[3]!) / width),
    ),
  )

/** Means over the windows that adaptive pooling takes. */
const pooled = (value: Shaped, level: number): Shaped => {
  const [n, c, height, width] = value.shape as Image
  const window = (size: number, index: number) => [
    Math.floor((index * size) / level),
    Math.ceil(((index + 1) * size) / level),
  ]
  return made([n, c, level, level], (sample, channel, i, j) => {
    const [[top, bottom], [left, right]] = [
      window(height, i!),
      window(width, j!),
    ] as number[][] as [[number, number], [number, number]]
    let total = 0
    for (let h = top; h < bottom; h++)
      for (let w = left; w < right; w++) total += at(value, sample!, channel!, h, w)
    return total / ((bottom - top) * (right - left))
  })
}

const meanSquare = (one: Shaped, other: Shaped): number =>
  sum(one.content.map((value, i) => (value - other.content[i]!) ** 2)) / one.content.length

function hierarchical(student: Shaped, teacher: Shaped): number {
  let [loss, share, shares] = [meanSquare(student, teacher), 1, 1]
  for (const level of [4, 2, 1]) {
    if (level >= student.shape[2]!) continue
    share /= 2
    loss += share * meanSquare(pooled(student, level), pooled(teacher, level))
    shares += share
  }
  return loss / shares
}

function expected(x: Tensors, own: readonly Image[], wanted: readonly Image[]): number {
  let before: Shaped | undefined
  let loss = 0
  for (let index = own.length - 1; index >= 0; index--) {
    const name = `review.pair${index}`
    const student = layer(x, `${name}.in`, shaped(x[`student/s${index}`]!, own[index]!))
    const [n, c, h, w] = student.shape as Image
    let fused = student
    if (before) {
      const deeper = resized(before, h, w)
      const both = made([n, 2 * c, h, w], (a, b, i, j) =>
        b! < c ? at(student, a!, b!, i!, j!) : at(deeper, a!, b! - c, i!, j!),
      )
      const map = layer(x, `${name}.attention`, both)
      const weight = (a: number, which: number, i: number, j: number) =>
        1 / (1 + Math.exp(-at(map, a, which, i, j)))
      fused = made([n, c, h, w], (a, b, i, j) => {
        const [first, second] = [weight(a!, 0, i!, j!), weight(a!, 1, i!, j!)]
        return first * at(student, a!, b!, i!, j!) + second * at(deeper, a!, b!, i!, j!)
      })
    }
    before = resized(fused, wanted[index]![2], wanted[index]![3])
    const out = layer(x, `${name}.out`, before, 3)
    loss += hierarchical(out, shaped(x[`teacher/t${index}`]!, wanted[index]!))
  }
  return loss / own.length
}

const entry = (
  title: string,
  own: readonly Image[],
  wanted: readonly Image[],
  options = {},
): LossCase => ({
  title,
  terms: [
    {
      loss: 'review',
      taps: own.map((_, index) => ({ teacher: `t${index}`, student: `s${index}` })),
      ...options,
    },
  ],
  taps: Object.fromEntries(own.map((shape, index) => [`s${index}`, { shape }])),
  teacherTaps: Object.fromEntries(wanted.map((shape, index) => [`t${index}`, { shape }])),
  expected: (x) => expected(x, own, wanted),
})

const cases = [
  entry(
    'three stages',
    [
      [1, 2, 4, 4],
      [1, 3, 2, 2],
      [1, 2, 1, 1],
    ],
    [
      [1, 2, 4, 4],
      [1, 2, 2, 2],
      [1, 3, 1, 1],
    ],
  ),
  entry(
    'other sizes than the teacher',
    [
      [1, 2, 3, 3],
      [1, 1, 2, 2],
    ],
    [
      [1, 1, 4, 4],
      [1, 2, 3, 3],
    ],
    { channels: 1 },
  ),
  entry('pooling into windows of several sizes', [[1, 1, 5, 7]], [[1, 2, 5, 7]]),
]

describe('knowledge review', () => {
  it.each(cases)('is what the formula says, with its gradient: $title', expectLoss)

  it('is refused for anything but images', async () => {
    await expect(
      computedLoss({
        ...cases[0]!,
        terms: [{ loss: 'review', taps: [{ teacher: 't', student: 's' }] }],
        taps: { s: { shape: [2, 3, 4] } },
        teacherTaps: { t: { shape: [2, 3, 4] } },
      }),
    ).rejects.toThrow(
      "test: 'review' takes images [N, C, H, W]: 's' [2,3,4], the teacher's [2,3,4] — use 'feature', or other taps",
    )
  })
})
