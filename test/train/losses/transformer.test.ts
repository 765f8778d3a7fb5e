import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, type LossCase, type Tensors } from '../loss-harness.ts'
import { at, logSoftmax, made, rowOf, type Shaped, shaped, sum } from './layers.ts'

const pair = { taps: [{ teacher: 't', student: 's' }] }
const both = (x: Tensors, own: readonly number[], wanted: readonly number[]) => [
  shaped(x['student/s']!, own),
  shaped(x['teacher/t']!, wanted),
]
const mask = { dtype: 'int64', shape: [2, 3], content: [1, 1, 0, 1, 1, 1] } as const
const counted = (n: number, position: number) => mask.content[n * 3 + position]!

/** Probabilities of rows of three: a softmax of noise. */
const probabilities = (rows: number, seed: number) =>
  Array.from({ length: rows }, (_, row) =>
    logSoftmax([0, 1, 2].map((at) => Math.sin(seed + 7 * row + 3 * at))).map(Math.exp),
  ).flat()

/** The mean over heads. */
const averaged = (value: Shaped): Shaped =>
  made(value.shape.with(1, 1), (n, _, i, j) => {
    const heads = value.shape[1]!
    let total = 0
    for (let head = 0; head < heads; head++) total += at(value, n!, head, i!, j!)
    return total / heads
  })

const divergence = (p: readonly number[], q: readonly number[]) =>
  sum(p.map((value, i) => value * (Math.log(value + 1e-6) - Math.log(q[i]! + 1e-6))))

const square = [2, 2, 3, 3]
const maps = (
  title: string,
  options: object,
  expected: LossCase['expected'],
  tensors: Partial<LossCase> = {},
): LossCase => ({
  title,
  terms: [{ loss: 'attention', ...options, ...pair }],
  taps: { s: { shape: square } },
  teacherTaps: { t: { shape: square } },
  expected,
  ...tensors,
})

const attentionCases: readonly LossCase[] = [
  maps('squares of scores', {}, (x) => {
    const [s, t] = both(x, square, square) as [Shaped, Shaped]
    return sum(s.content.map((value, i) => (value - t.content[i]!) ** 2)) / s.content.length
  }),
  maps(
    'squares of scores of another number of heads',
    {},
    (x) => {
      const [s, t] = both(x, square, [2, 4, 3, 3]).map(averaged) as [Shaped, Shaped]
      return sum(s.content.map((value, i) => (value - t.content[i]!) ** 2)) / s.content.length
    },
    { teacherTaps: { t: { shape: [2, 4, 3, 3] } } },
  ),
  maps(
    'squares of scores with padding',
    { mask: 'attention_mask' },
    (x) => {
      const [s, t] = both(x, square, square) as [Shaped, Shaped]
      let [total, count] = [0, 0]
      for (let n = 0; n < 2; n++)
        for (let head = 0; head < 2; head++)
          for (let i = 0; i < 3; i++)
            for (let j = 0; j < 3; j++) {
              if (counted(n, i) === 0 || counted(n, j) === 0) continue
              total += (at(s, n, head, i, j) - at(t, n, head, i, j)) ** 2
              count++
            }
      return total / count
    },
    { inputs: { attention_mask: mask } },
  ),
  maps(
    'divergence of probabilities',
    { distance: 'kl' },
    (x) => {
      const [s, t] = both(x, square, square) as [Shaped, Shaped]
      const rows = Array.from({ length: 12 }, (_, row) => divergence(rowOf(t, row), rowOf(s, row)))
      return sum(rows) / 12
    },
    {
      taps: { s: { shape: square, content: probabilities(12, 1) } },
      teacherTaps: { t: { shape: square, content: probabilities(12, 2) } },
    },
  ),
  maps(
    'divergence of probabilities with padding and other heads',
    { distance: 'kl', mask: 'attention_mask' },
    (x) => {
      const [s, t] = both(x, square, [2, 3, 3, 3]).map(averaged) as [Shaped, Shaped]
      let [total, count] = [0, 0]
      for (let row = 0; row < 6; row++) {
        if (counted(Math.floor(row / 3), row % 3) === 0) continue
        total += divergence(rowOf(t, row), rowOf(s, row))
        count++
      }
      return total / count
    },
    {
      taps: { s: { shape: square, content: probabilities(12, 1) } },
      teacherTaps: { t: { shape: [2, 3, 3, 3], content: probabilities(18, 2) } },
      inputs: { attention_mask: mask },
    },
  ),
]

describe('attention maps', () => {
  it.each(attentionCases)('are compared as the formula says, with the gradient: $title', expectLoss)

  it('have no distance where masked scores alone differ', async () => {
    const content = (masked: number) => [masked, 1, 2, 3]
    const { value, gradients } = await computedLoss({
      ...attentionCases[0]!,
      taps: { s: { shape: [1, 1, 2, 2], content: content(Number.NEGATIVE_INFINITY) } },
      teacherTaps: { t: { shape: [1, 1, 2, 2], content: content(-10_000) } },
    })
    expect(value).toBe(0)
    expect([...Array.from(gradients['student/s']!)].every(Number.isFinite)).toBe(true)
  })

  it('are refused where lengths differ, or the mask is none', async () => {
    const shorter = { ...attentionCases[0]!, taps: { s: { shape: [2, 2, 4, 4] } } }
    await expect(computedLoss(shorter)).rejects.toThrow(
      "test: 'attention' takes [N, H, L, L]: 's' [2,2,4,4], the teacher's [2,2,3,3] — use other taps",
    )
    const nameless = { ...attentionCases[2]!, inputs: { other: mask } }
    await expect(computedLoss(nameless)).rejects.toThrow(
      "test: mask: no such input: 'attention_mask' — name one of 'other'",
    )
    const wrong = { attention_mask: { ...mask, shape: [3, 2] } }
    await expect(computedLoss({ ...attentionCases[2]!, inputs: wrong })).rejects.toThrow(
      "test: mask: not a number for each position: 'attention_mask' [3,2] for [2,3] — name another input",
    )
  })
})

/** log softmax over the positions that count of the products of position i with all others, in one head. */
function relation(
  value: Shaped,
  { n, head, i, heads, padded }: Record<'n' | 'head' | 'i' | 'heads', number> & { padded: boolean },
): number[] {
  const [, length, width] = value.shape as [number, number, number]
  const size = width / heads
  const places = [...Array(length).keys()].filter((j) => !padded || counted(n, j) === 1)
  return logSoftmax(
    places.map((j) => {
      let product = 0
      for (let d = head * size; d < (head + 1) * size; d++)
        product += at(value, n, i, d) * at(value, n, j, d)
      return product / Math.sqrt(size)
    }),
  )
}

function relations(student: Shaped, teacher: Shaped, heads: number, padded = false): number {
  const [batch, length] = teacher.shape as [number, number]
  let [total, count] = [0, 0]
  for (let n = 0; n < batch; n++)
    for (let head = 0; head < heads; head++)
      for (let i = 0; i < length; i++) {
        if (padded && counted(n, i) === 0) continue
        const own = relation(student, { n, head, i, heads, padded })
        const theirs = relation(teacher, { n, head, i, heads, padded })
        total += sum(theirs.map((value, j) => Math.exp(value) * (value - own[j]!)))
        count++
      }
  return total / count
}

const [narrow, wide] = [
  [2, 3, 4],
  [2, 3, 6],
]
const relationCases: readonly LossCase[] = [
  {
    title: 'of other widths',
    terms: [{ loss: 'relations', ...pair }],
    taps: { s: { shape: narrow } },
    teacherTaps: { t: { shape: wide } },
    expected: (x) => relations(...(both(x, narrow, wide) as [Shaped, Shaped]), 2),
  },
  {
    title: 'with padding, one head',
    terms: [{ loss: 'relations', heads: 1, mask: 'attention_mask', ...pair }],
    taps: { s: { shape: narrow } },
    teacherTaps: { t: { shape: wide } },
    inputs: { attention_mask: mask },
    expected: (x) => relations(...(both(x, narrow, wide) as [Shaped, Shaped]), 1, true),
  },
  {
    title: 'by heads, of which there are as many as are compared or not',
    terms: [{ loss: 'relations', heads: 2, ...pair }],
    taps: { s: { shape: [2, 2, 3, 2] } },
    teacherTaps: { t: { shape: [2, 3, 3, 2] } },
    expected: (x) => {
      const [s, t] = both(x, [2, 2, 3, 2], [2, 3, 3, 2]).map((value) =>
        made([2, 3, value.shape[1]! * 2], (n, i, d) =>
          at(value, n!, Math.floor(d! / 2), i!, d! % 2),
        ),
      ) as [Shaped, Shaped]
      return relations(s, t, 2)
    },
  },
]

describe('relations of positions', () => {
  it.each(relationCases)('are compared as the formula says, with the gradient: $title', expectLoss)

  it('do not change where a model turns all of its values alike', async () => {
    // An orthogonal matrix keeps the products: here the last two numbers change places and one its sign.
    const content = Array.from({ length: 12 }, (_, index) => Math.sin(index))
    const turned = content.map((_, index) => {
      const [row, d] = [Math.floor(index / 2), index % 2]
      return d === 0 ? -content[row * 2 + 1]! : content[row * 2]!
    })
    const { value } = await computedLoss({
      ...relationCases[0]!,
      terms: [{ loss: 'relations', heads: 1, ...pair }],
      taps: { s: { shape: [2, 3, 2], content: turned } },
      teacherTaps: { t: { shape: [2, 3, 2], content } },
    })
    expect(Math.abs(value)).toBeLessThan(1e-6)
  })

  it('are refused where heads or lengths do not fit', async () => {
    const heads = { ...relationCases[0]!, terms: [{ loss: 'relations', heads: 3, ...pair }] }
    await expect(computedLoss(heads)).rejects.toThrow(
      "test: 'relations' cannot cut widths 4 and 6 into heads: 3 — use a divisor of both",
    )
    const longer = { ...relationCases[0]!, taps: { s: { shape: [2, 5, 4] } } }
    await expect(computedLoss(longer)).rejects.toThrow(
      "test: 'relations' takes sequences of one length: 's' [2,5,4], the teacher's [2,3,6] — use other taps",
    )
  })
})

describe('hidden states and embeddings', () => {
  it('are features behind a learned matrix', () =>
    expectLoss({
      title: 'hidden states',
      terms: [{ loss: 'feature', ...pair }],
      taps: { s: { shape: narrow } },
      teacherTaps: { t: { shape: wide } },
      // Jiao et al. 2020, equation 8: the mean square of H_S W - H_T.
      expected: (x) => {
        const [s, t] = both(x, narrow, wide) as [Shaped, Shaped]
        const matrix = shaped(x['feature.connector0.0.weight']!, [4, 6])
        const errors = made(wide, (n, i, d) => {
          const own = sum([0, 1, 2, 3].map((c) => at(s, n!, i!, c) * at(matrix, c, d!)))
          return (own - at(t, n!, i!, d!)) ** 2
        })
        return sum(errors.content) / errors.content.length
      },
    }))

  it.each(['squared', 'absolute', 'cosine'] as const)(
    'count where there is no padding: %s',
    (distance) =>
      expectLoss({
        title: `padded hidden states, ${distance}`,
        terms: [{ loss: 'feature', distance, mask: 'attention_mask', ...pair }],
        taps: { s: { shape: narrow } },
        teacherTaps: { t: { shape: narrow } },
        inputs: { attention_mask: mask },
        expected: (x) => {
          const [s, t] = both(x, narrow, narrow) as [Shaped, Shaped]
          const rows = [0, 1, 3, 4, 5].map((row) => [rowOf(s, row), rowOf(t, row)] as const)
          const dot = (a: readonly number[], b: readonly number[]) =>
            sum(a.map((value, d) => value * b[d]!))
          const distances = {
            squared: () => rows.map(([a, b]) => sum(a.map((value, d) => (value - b[d]!) ** 2)) / 4),
            absolute: () =>
              rows.map(([a, b]) => sum(a.map((value, d) => Math.abs(value - b[d]!))) / 4),
            cosine: () => rows.map(([a, b]) => 1 - dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))),
          }
          return sum(distances[distance]()) / rows.length
        },
      }),
  )

  it('have no padding where they are no sequences', async () => {
    await expect(
      computedLoss({
        ...attentionCases[2]!,
        terms: [{ loss: 'feature', mask: 'attention_mask', ...pair }],
      }),
    ).rejects.toThrow(
      "test: 'feature' takes a mask for sequences [N, L, D]: 'attention_mask' for [2,2,3,3] — leave the mask out",
    )
  })
})
