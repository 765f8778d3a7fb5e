import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import { lossContext } from '../../../train/loss-context.ts'
import { writeLoss } from '../../../train/losses.ts'
import { computedLoss, expectLoss, type LossCase, parsed } from '../loss-harness.ts'
import { images, inner, minus, sequences, sumOver, unitVector } from './arrays.ts'

const [batch, channels, size] = [2, 3, 4]
const shape = [batch, channels, size, size]
const taps = [{ teacher: 't', student: 's' }]
const term = (loss: string, options: object = {}) => [{ loss, taps, ...options }]

type Tensors = Readonly<Record<string, Float64Array>>
const student = (x: Tensors, own = channels) => images(x['student/s']!, batch, own)
const teacher = (x: Tensors) => images(x['teacher/t']!, batch, channels)

const meanOverBatch = (value: (n: number) => number) => sumOver(batch, value) / batch

const attention = (maps: readonly number[][], power: number) =>
  unitVector(maps[0]!.map((_, at) => sumOver(maps.length, (c) => Math.abs(maps[c]![at]!) ** power)))
const attentionLoss = (s: readonly number[][][], t: readonly number[][][], power: number) =>
  meanOverBatch((n) => {
    const difference = minus(attention(s[n]!, power), attention(t[n]!, power))
    return inner(difference, difference)
  })

type Kernel = (a: readonly number[], b: readonly number[]) => number
const meanKernel = (a: readonly number[][], b: readonly number[][], k: Kernel) =>
  a.reduce((sum, one) => sum + b.reduce((part, other) => part + k(one, other), 0), 0) /
  (a.length * b.length)
const discrepancy = (s: readonly number[][][], t: readonly number[][][], k: Kernel) =>
  meanOverBatch((n) => {
    const [own, theirs] = [s[n]!.map(unitVector), t[n]!.map(unitVector)]
    return meanKernel(theirs, theirs, k) + meanKernel(own, own, k) - 2 * meanKernel(own, theirs, k)
  })
const squaredDistance = (a: readonly number[], b: readonly number[]) =>
  inner(minus(a, b), minus(a, b))
const gaussian = (t: readonly number[][][]): Kernel => {
  const variance = meanOverBatch((n) => {
    const theirs = t[n]!.map(unitVector)
    return meanKernel(theirs, theirs, squaredDistance)
  })
  return (a, b) => Math.exp(-squaredDistance(a, b) / (2 * variance))
}

/** The largest value of windows of 2x2 of a map that is `width` wide. */
const pooled = (map: readonly number[], width: number) =>
  Array.from({ length: map.length / 4 }, (_, at) => {
    const [row, column] = [Math.floor(at / (width / 2)), at % (width / 2)]
    const corner = 2 * row * width + 2 * column
    return Math.max(...[0, 1, width, width + 1].map((offset) => map[corner + offset]!))
  })
const flowLoss = (s: readonly (readonly number[][][])[], t: readonly (readonly number[][][])[]) => {
  const entry = (maps: readonly (readonly number[][][])[], n: number, i: number, j: number) =>
    inner(maps[0]![n]![i]!, maps[1]![n]![j]!) / maps[0]![n]![i]!.length
  const [rows, columns] = [t[0]![0]!.length, t[1]![0]!.length]
  return meanOverBatch(
    (n) =>
      sumOver(rows, (i) => sumOver(columns, (j) => (entry(s, n, i, j) - entry(t, n, i, j)) ** 2)) /
      (rows * columns),
  )
}

const boundary = (x: Tensors, margin: number) => {
  const [s, t] = [x['student/s']!, x['teacher/t']!]
  const missing = (at: number) =>
    t[at]! > 0 ? Math.max(0, margin - s[at]!) : Math.max(0, margin + s[at]!)
  return sumOver(s.length, (at) => missing(at) ** 2) / s.length
}

const softmax = (a: readonly number[], T: number) => {
  const powers = a.map((value) => Math.exp(value / T))
  const sum = powers.reduce((total, value) => total + value, 0)
  return powers.map((value) => value / sum)
}
const channelLoss = (s: readonly number[][][], t: readonly number[][][], T: number) =>
  meanOverBatch(
    (n) =>
      (T ** 2 / channels) *
      sumOver(channels, (c) => {
        const [p, q] = [softmax(t[n]![c]!, T), softmax(s[n]![c]!, T)]
        return sumOver(p.length, (at) => p[at]! * Math.log(p[at]! / q[at]!))
      }),
  )

const both = { taps: { s: { shape } }, teacherTaps: { t: { shape } } }
const narrow = { taps: { s: { shape: [batch, 2, size, size] } }, teacherTaps: { t: { shape } } }
const words = {
  taps: { s: { shape: [batch, 6, channels] } },
  teacherTaps: { t: { shape: [batch, 6, channels] } },
}
const ownWords = (x: Tensors) => sequences(x['student/s']!, batch, channels)
const theirWords = (x: Tensors) => sequences(x['teacher/t']!, batch, channels)

const cases: readonly LossCase[] = [
  {
    title: 'attention',
    terms: term('attention-transfer'),
    ...narrow,
    expected: (x) => attentionLoss(student(x, 2), teacher(x), 2),
  },
  {
    title: 'attention, absolute values',
    terms: term('attention-transfer', { power: 1 }),
    ...narrow,
    expected: (x) => attentionLoss(student(x, 2), teacher(x), 1),
  },
  {
    title: 'attention, third powers',
    terms: term('attention-transfer', { power: 3 }),
    ...narrow,
    expected: (x) => attentionLoss(student(x, 2), teacher(x), 3),
  },
  {
    title: 'attention of sequences',
    terms: term('attention-transfer'),
    ...words,
    expected: (x) => attentionLoss(ownWords(x), theirWords(x), 2),
  },
  {
    title: 'nst, linear',
    terms: term('nst', { kernel: 'linear' }),
    ...narrow,
    expected: (x) => discrepancy(student(x, 2), teacher(x), inner),
  },
  {
    title: 'nst, polynomial',
    terms: term('nst'),
    ...narrow,
    expected: (x) => discrepancy(student(x, 2), teacher(x), (a, b) => inner(a, b) ** 2),
  },
  {
    title: 'nst, cubic',
    terms: term('nst', { degree: 3, offset: 0.5 }),
    ...narrow,
    expected: (x) => discrepancy(student(x, 2), teacher(x), (a, b) => (inner(a, b) + 0.5) ** 3),
  },
  {
    title: 'nst, gaussian',
    terms: term('nst', { kernel: 'gaussian' }),
    ...narrow,
    expected: (x) => discrepancy(student(x, 2), teacher(x), gaussian(teacher(x))),
  },
  {
    title: 'nst of sequences',
    terms: term('nst'),
    ...words,
    expected: (x) => discrepancy(ownWords(x), theirWords(x), (a, b) => inner(a, b) ** 2),
  },
  {
    title: 'fsp',
    terms: [{ loss: 'fsp', taps: [...taps, { teacher: 'u', student: 'v' }] }],
    taps: { s: { shape }, v: { shape: [batch, 2, 2, 2] } },
    teacherTaps: { t: { shape }, u: { shape: [batch, 2, size, size] } },
    expected: (x) =>
      flowLoss(
        [
          student(x).map((maps) => maps.map((map) => pooled(map, size))),
          images(x['student/v']!, batch, 2),
        ],
        [teacher(x), images(x['teacher/u']!, batch, 2)],
      ),
  },
  {
    title: 'fsp of sequences',
    terms: [{ loss: 'fsp', taps: [...taps, { teacher: 'u', student: 'v' }] }],
    taps: { s: { shape: [batch, 6, channels] }, v: { shape: [batch, 3, 2] } },
    teacherTaps: { t: { shape: [batch, 6, channels] }, u: { shape: [batch, 6, 2] } },
    expected: (x) =>
      flowLoss(
        [
          ownWords(x).map((maps) =>
            maps.map((map) => [0, 2, 4].map((at) => Math.max(map[at]!, map[at + 1]!))),
          ),
          sequences(x['student/v']!, batch, 2),
        ],
        [theirWords(x), sequences(x['teacher/u']!, batch, 2)],
      ),
  },
  {
    title: 'activation boundaries',
    terms: term('activation-boundary'),
    ...both,
    expected: (x) => boundary(x, 1),
  },
  {
    title: 'activation boundaries of samples, another margin',
    terms: term('activation-boundary', { margin: 0.3 }),
    taps: { s: { shape: [batch, 9] } },
    teacherTaps: { t: { shape: [batch, 9] } },
    expected: (x) => boundary(x, 0.3),
  },
  {
    title: 'channels',
    terms: term('cwd', { weight: 2 }),
    ...both,
    expected: (x) => 2 * channelLoss(student(x), teacher(x), 4),
  },
  {
    title: 'channels at a temperature that changes',
    terms: term('cwd', { temperature: { from: 3, to: 1 } }),
    progress: 0.5,
    ...words,
    expected: (x) => channelLoss(ownWords(x), theirWords(x), 2),
  },
]

const content = Array.from({ length: 96 }, (_, at) => Math.sin(at * at + 1))
const zeros = content.map(() => 0)
const tried = (loss: string, s: readonly number[], t: readonly number[], dims = shape) =>
  computedLoss({
    title: loss,
    terms: loss === 'fsp' ? [{ loss, taps: [...taps, ...taps] }] : term(loss),
    taps: { s: { shape: dims, content: s } },
    teacherTaps: { t: { shape: dims, content: t } },
    expected: () => 0,
  })

describe('losses of what is where', () => {
  it.each(cases)('are what the formula says, with their gradients: $title', expectLoss)

  it.each(['attention-transfer', 'nst', 'fsp', 'cwd'])(
    'are zero for a student like the teacher: %s',
    async (loss) => {
      const { value } = await tried(loss, content, content)
      expect(Math.abs(value)).toBeLessThan(1e-6)
    },
  )

  it.each(['attention-transfer', 'nst'])('do not see how large values are: %s', async (loss) => {
    const { value } = await tried(
      loss,
      content.map((number) => 7 * number),
      content,
    )
    expect(Math.abs(value)).toBeLessThan(1e-6)
  })

  it('do not ask more of activations than the margin', async () => {
    const signs = content.map((number) => (number > 0 ? 1.5 : -1.5))
    expect((await tried('activation-boundary', signs, content)).value).toBe(0)
  })

  it.each(['attention-transfer', 'nst', 'fsp', 'cwd', 'activation-boundary'])(
    'stay finite where nothing is active: %s',
    async (loss) => {
      for (const t of [content, zeros]) {
        const { value, gradients } = await tried(loss, zeros, t)
        expect(Number.isFinite(value)).toBe(true)
        expect(Array.from(gradients['student/s']!).every(Number.isFinite)).toBe(true)
      }
    },
  )

  it.each(['attention-transfer', 'nst', 'fsp', 'cwd'])(
    'are refused for values without positions: %s',
    async (loss) => {
      await expect(tried(loss, content, content, [batch, 48])).rejects.toThrow(
        `test: '${loss}' compares positions: values [2,48] have none — tap values [N, C, H, W] or [N, L, D]`,
      )
    },
  )

  it('refuse the output of a Relu where the side of zero counts, but not behind a connector', async () => {
    const { g } = newModel('relu')
    const before = g.input('before', { dtype: 'float32', shape })
    const active = g.Relu(before)
    active.type = before.type
    const { context } = lossContext(
      g,
      { inputs: [before], outputs: [before], taps: new Map([['s', active]]) },
      {
        batch,
        where: 'test',
        taught: { outputs: 0, taps: [{ name: 't', shape: shape.slice(1) }] },
      },
    )
    const write = (options: object) =>
      writeLoss(g, context, parsed(term('activation-boundary', options)))
    await expect(write({})).rejects.toThrow(
      "test: 'activation-boundary' compares values before their activation: the student's 's' is the output of a Relu — tap its input, or use connector 'linear'",
    )
    await expect(write({ connector: 'linear' })).resolves.toBeDefined()
  })

  it('refuse one tap where consecutive ones are compared', async () => {
    await expect(
      computedLoss({ title: 'one', terms: term('fsp'), ...both, expected: () => 0 }),
    ).rejects.toThrow("test: 'fsp' compares consecutive taps: 1 given — name two or more")
  })

  it('refuse consecutive taps that cannot be pooled', async () => {
    const odd = { shape: [batch, channels, 3, 3] }
    await expect(
      computedLoss({
        title: 'odd',
        terms: [{ loss: 'fsp', taps: [...taps, { teacher: 'u', student: 'v' }] }],
        taps: { s: { shape }, v: odd },
        teacherTaps: { t: { shape }, u: odd },
        expected: () => 0,
      }),
    ).rejects.toThrow(
      "test: 'fsp' pools the larger of consecutive taps: [2,3,4,4] and [2,3,3,3] do not divide — use other taps",
    )
  })
})
