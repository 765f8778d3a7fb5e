import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { numbers, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { type LossFacts, lossContext } from '../../train/loss-context.ts'
import {
  comparesBinary,
  type LossOptions,
  losses,
  lossOptions,
  needsTeacher,
  writeLoss,
} from '../../train/losses.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { shapeOf } from '../../train/rule.ts'
import { differences, relativeError } from '../support/reference.ts'

const [batch, classes] = [5, 4]
const labels = [2, 0, 3, 3, 1]
const draw = (label: string) => {
  const source = random(1, label)
  return Float64Array.from({ length: batch * classes }, () => Math.fround(3 * source.normal()))
}
const [student, teacher] = [draw('student'), draw('teacher')]

/** log softmax(row / T) of every row. */
function logSoftmax(logits: Float64Array, temperature = 1): Float64Array {
  const scaled = logits.map((logit) => logit / temperature)
  return scaled.map((logit, index) => {
    const start = index - (index % classes)
    const row = scaled.subarray(start, start + classes)
    return logit - Math.log(row.reduce((sum, each) => sum + Math.exp(each), 0))
  })
}

const mean = (values: Float64Array, count: number) =>
  values.reduce((sum, value) => sum + value, 0) / count

const crossEntropy = (
  logits: Float64Array,
  smoothing: number,
  weights: readonly number[] = [1, 1, 1, 1],
): number =>
  mean(
    logSoftmax(logits).map((logarithm, index) => {
      const isLabel = labels[Math.floor(index / classes)] === index % classes
      const target = (isLabel ? 1 - smoothing : 0) + smoothing / classes
      return -logarithm * target * weights[index % classes]!
    }),
    batch,
  )

const divergence = (logits: Float64Array, temperature: number): number => {
  const [own, taught] = [logSoftmax(logits, temperature), logSoftmax(teacher, temperature)]
  const terms = taught.map((logarithm, index) => Math.exp(logarithm) * (logarithm - own[index]!))
  return temperature ** 2 * mean(terms, batch)
}

const squaredError = (logits: Float64Array): number =>
  mean(
    logits.map((logit, index) => (logit - teacher[index]!) ** 2),
    batch * classes,
  )

const relativeSquaredError = (logits: Float64Array): number =>
  squaredError(logits) /
  mean(
    teacher.map((value) => value ** 2),
    batch * classes,
  )

interface LossCase {
  readonly terms: readonly object[]
  readonly expected: (logits: Float64Array) => number
}

const cases: readonly LossCase[] = [
  { terms: [{ loss: 'cross-entropy' }], expected: (z) => crossEntropy(z, 0) },
  {
    terms: [{ loss: 'cross-entropy', labelSmoothing: 0.1 }],
    expected: (z) => crossEntropy(z, 0.1),
  },
  { terms: [{ loss: 'kl', temperature: 1 }], expected: (z) => divergence(z, 1) },
  { terms: [{ loss: 'kl', temperature: 4 }], expected: (z) => divergence(z, 4) },
  { terms: [{ loss: 'match' }], expected: relativeSquaredError },
  { terms: [{ loss: 'mse' }], expected: squaredError },
  {
    terms: [
      { loss: 'kl', temperature: 2, weight: 0.7 },
      { loss: 'cross-entropy', weight: 0.25 },
      { loss: 'mse', weight: 3 },
    ],
    expected: (z) => 0.7 * divergence(z, 2) + 0.25 * crossEntropy(z, 0) + 3 * squaredError(z),
  },
]

const parsed = (terms: readonly object[]): LossOptions[] =>
  terms.map((term) => lossOptions.parse(term))

/** What a graph with losses is made of and fed besides its outputs. */
interface Setting extends Omit<LossFacts, 'where'> {
  /** Shape of the output. */
  readonly shape: readonly number[]
  readonly targets?: Iterable<number>
  readonly values?: Iterable<number>
  readonly teacher?: Iterable<number>
  readonly input?: Iterable<number>
}

/** Value and gradient by the output, from ONNX Runtime. */
async function computedIn(
  terms: readonly LossOptions[],
  output: Iterable<number>,
  { shape, targets, values, teacher: taught, input, ...facts }: Setting,
) {
  const { model, g } = newModel('loss')
  const logitsInput = g.input('logits', { dtype: 'float32', shape })
  const modelInput = g.input('input', { dtype: 'float32', shape })
  const subject = { inputs: [modelInput], outputs: [logitsInput] }
  const { context, parts } = lossContext(g, subject, { ...facts, where: 'test' })
  const loss = g.Mul((await writeLoss(g, context, terms)).loss, 1)
  g.graph.outputs.push(loss)
  await inferShapes(model)
  const found = backward(g, loss, new Set([logitsInput]), standard)
  g.output('gradient', found.get(logitsInput)!)
  const feeds: Record<string, Tensor> = {}
  const feed = (value: Value | undefined, content: Iterable<number> = []) => {
    if (value) feeds[value.name] = tensorOf('float32', shapeOf(value), Float32Array.from(content))
  }
  feed(logitsInput, output)
  feed(modelInput, input ?? output)
  feed(parts().inputs.targets, targets)
  feed(parts().inputs.values, values)
  feed(parts().inputs.teacher.get(0), taught)
  const results = await withSession(model, {}, (session) => session.run(feeds))
  return {
    value: numbers(results[loss.name]!)[0]!,
    gradient: numbers(results.gradient!),
  }
}

const oneHot = labels.flatMap((label) => [0, 1, 2, 3].map((each) => Number(each === label)))

const computed = (
  terms: readonly LossOptions[],
  logits: Float64Array,
  classWeights?: readonly number[],
) =>
  computedIn(terms, logits, {
    ...{ shape: [batch, classes], batch, classes, classWeights },
    ...{ targets: oneHot, teacher },
  })

describe('the losses', () => {
  it('weigh classes', async () => {
    const weights = [0.5, 2, 0, 1.25]
    const terms = parsed([{ loss: 'cross-entropy', labelSmoothing: 0.1 }])
    const expected = (z: Float64Array) => crossEntropy(z, 0.1, weights)
    const { value, gradient } = await computed(terms, student, weights)
    expect(relativeError([value], [expected(student)])).toBeLessThan(1e-5)
    expect(relativeError(gradient, differences(expected, student))).toBeLessThan(1e-5)
  })

  it.each(cases)('$terms have the value and the gradient of the formula', async (entry) => {
    const { value, gradient } = await computed(parsed(entry.terms), student)
    expect(relativeError([value], [entry.expected(student)])).toBeLessThan(1e-5)
    expect(relativeError(gradient, differences(entry.expected, student))).toBeLessThan(1e-5)
  })

  it('are each tried somewhere', async () => {
    const folder = new URL('losses/', import.meta.url)
    const files = (await readdir(folder)).filter((name) => name.endsWith('.test.ts'))
    const sources = await Promise.all(
      [new URL(import.meta.url), ...files.map((name) => new URL(name, folder))].map((file) =>
        readFile(file, 'utf8'),
      ),
    )
    const untried = Object.keys(losses).filter(
      (name) => !sources.some((source) => new RegExp(`(loss: |term\\()'${name}'`).test(source)),
    )
    expect(untried).toEqual([])
  })

  it('are zero, and push nowhere, for a student that answers as the teacher does', async () => {
    const terms = parsed([{ loss: 'kl', temperature: 3 }, { loss: 'mse' }])
    const { value, gradient } = await computed(terms, teacher)
    expect(Math.abs(value)).toBeLessThan(1e-6)
    expect(Math.hypot(...gradient)).toBeLessThan(1e-6)
  })

  it('stay finite for logits of any size', async () => {
    const terms = parsed([{ loss: 'cross-entropy' }, { loss: 'kl', temperature: 1 }])
    const large = student.map((logit) => 1e4 * logit)
    const { value, gradient } = await computed(terms, large)
    expect([value, ...gradient].every(Number.isFinite)).toBe(true)
  })

  it('say whether they need a teacher', () => {
    expect(needsTeacher(parsed([{ loss: 'cross-entropy' }]))).toBe(false)
    expect(needsTeacher(parsed([{ loss: 'cross-entropy' }, { loss: 'mse' }]))).toBe(true)
    expect(needsTeacher(parsed([{ loss: 'kl' }]))).toBe(true)
    expect(needsTeacher(parsed([{ loss: 'teacher-free' }]))).toBe(false)
  })

  it('say whether they want what went into a closing Sigmoid', () => {
    for (const loss of ['kl-binary', 'listwise', 'rank'])
      expect(comparesBinary(parsed([{ loss: 'mse' }, { loss }]), 4)).toBe(true)
    expect(
      comparesBinary(parsed([{ loss: 'listwise' }, { loss: 'rank' }, { loss: 'kl' }]), 1),
    ).toBe(false)
  })
})

// Losses of other tasks, each against its formula in float64 and finite differences of it.
const numbersOf = (label: string, count: number, scale = 1) => {
  const source = random(2, label)
  return Float64Array.from({ length: count }, () => Math.fround(scale * source.normal()))
}
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0)
const cosineOf = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  let [both, own, theirs] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    both += a[i]! * b[i]!
    own += a[i]! ** 2
    theirs += b[i]! ** 2
  }
  return both / Math.sqrt((own + 1e-8) * (theirs + 1e-8))
}

// Two samples of three positions and four classes; two positions do not count.
const tags = [2, -1, 0, 3, 1, -1]
const tagTargets = tags.flatMap((tag) => [0, 1, 2, 3].map((each) => Number(each === tag)))
const tagged: Setting = {
  ...{ batch: 2, classes: 4, shape: [2, 3, 4] },
  ...{ targets: tagTargets, teacher: numbersOf('tags taught', 24, 2) },
}
const tagEntropy = (z: Float64Array, smoothing: number) => {
  const logarithms = logSoftmax(z)
  const counted = tags.flatMap((tag, row) => (tag < 0 ? [] : [{ tag, row }]))
  return (
    sum(
      counted.map(({ tag, row }) =>
        sum(
          [0, 1, 2, 3].map(
            (each) =>
              -logarithms[4 * row + each]! *
              ((each === tag ? 1 - smoothing : 0) + smoothing / classes),
          ),
        ),
      ),
    ) / counted.length
  )
}
const tagDivergence = (z: Float64Array, temperature: number, counts: (row: number) => boolean) => {
  const [own, taught] = [
    logSoftmax(z, temperature),
    logSoftmax(Float64Array.from(tagged.teacher!), temperature),
  ]
  const terms = taught.map((logarithm, index) =>
    counts(Math.floor(index / classes)) ? Math.exp(logarithm) * (logarithm - own[index]!) : 0,
  )
  return (temperature ** 2 * sum(terms)) / tags.filter((_, row) => counts(row)).length
}

const values = Float64Array.from([0.5, -1, 2, 0.25, 0, 3])
const valued: Setting = { batch: 3, shape: [3, 2], values, targetWidth: 2 }
// 1, 0, or -1 where it is not known.
const sets = [1, 0, -1, 1, 0, 0]
const manyLabels: Setting = {
  ...{ batch: 2, classes: 3, shape: [2, 3], values: sets, targetWidth: 3 },
  teacher: numbersOf('sets taught', 6, 2),
}
const binary = (z: Float64Array, positiveWeight: number) =>
  sum(
    z.map((logit, i) => {
      if (sets[i]! < 0) return 0
      return sets[i] ? -positiveWeight * Math.log(sigmoid(logit)) : -Math.log(sigmoid(-logit))
    }),
  ) / 5
const binaryDivergence = (z: Float64Array, temperature: number) =>
  (temperature ** 2 *
    sum(
      z.map((logit, i) => {
        const [q, p] = [
          sigmoid(logit / temperature),
          sigmoid([...manyLabels.teacher!][i]! / temperature),
        ]
        return p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q))
      }),
    )) /
  z.length

const scores = [0.9, 0, -0.3, 0] // of a pair the first counts
const pairs: Setting = { batch: 4, shape: [4, 3], values: scores, targetWidth: 1, group: 2 }
const pairError = (z: Float64Array) =>
  sum(
    [0, 1].map((pair) => {
      const [a, b] = [2 * pair, 2 * pair + 1].map((row) => z.subarray(3 * row, 3 * row + 3))
      return (cosineOf(a!, b!) - scores[2 * pair]!) ** 2
    }),
  ) / 2

const taughtEmbeddings = numbersOf('embeddings', 12)
const embedded: Setting = { batch: 4, shape: [4, 3], teacher: taughtEmbeddings }
const embeddingError = (z: Float64Array) =>
  1 -
  sum(
    [0, 1, 2, 3].map((row) =>
      cosineOf(z.subarray(3 * row, 3 * row + 3), taughtEmbeddings.subarray(3 * row, 3 * row + 3)),
    ),
  ) /
    4

const relevances = [1, 0, 0, 0, 2, 1]
const ranked: Setting = { batch: 6, shape: [6, 1], values: relevances, targetWidth: 1, group: 3 }
const rankingLoss = (z: Float64Array) => {
  let [lost, weights] = [0, 0]
  for (const start of [0, 3])
    for (let i = start; i < start + 3; i++)
      for (let j = start; j < start + 3; j++) {
        const more = Math.max(0, relevances[i]! - relevances[j]!)
        lost -= more * Math.log(sigmoid(z[i]! - z[j]!))
        weights += more
      }
  return lost / weights
}

const originals = numbersOf('originals', 6)

interface OtherCase extends LossCase {
  readonly setting: Setting
}

const otherCases: readonly OtherCase[] = [
  {
    terms: [{ loss: 'cross-entropy' }],
    setting: tagged,
    expected: (z) => tagEntropy(z, 0),
  },
  {
    terms: [{ loss: 'cross-entropy', labelSmoothing: 0.2 }],
    setting: tagged,
    expected: (z) => tagEntropy(z, 0.2),
  },
  {
    terms: [{ loss: 'kl', temperature: 3 }],
    setting: { ...tagged, classes: undefined },
    expected: (z) => tagDivergence(z, 3, () => true),
  },
  {
    terms: [{ loss: 'kl', temperature: 3 }, { loss: 'cross-entropy' }],
    setting: { ...tagged, labelled: true },
    expected: (z) => tagDivergence(z, 3, (row) => tags[row]! >= 0) + tagEntropy(z, 0),
  },
  {
    terms: [{ loss: 'binary-cross-entropy' }],
    setting: manyLabels,
    expected: (z) => binary(z, 1),
  },
  {
    terms: [{ loss: 'binary-cross-entropy', positiveWeight: 2.5 }],
    setting: manyLabels,
    expected: (z) => binary(z, 2.5),
  },
  {
    terms: [{ loss: 'kl-binary', temperature: 2 }],
    setting: manyLabels,
    expected: (z) => binaryDivergence(z, 2),
  },
  {
    terms: [{ loss: 'squared-error' }],
    setting: valued,
    expected: (z) => sum(z.map((value, i) => (value - values[i]!) ** 2)) / 6,
  },
  {
    terms: [{ loss: 'absolute-error' }],
    setting: valued,
    expected: (z) => sum(z.map((value, i) => Math.abs(value - values[i]!))) / 6,
  },
  {
    terms: [{ loss: 'huber', delta: 0.7 }],
    setting: valued,
    expected: (z) =>
      sum(
        z.map((value, i) => {
          const distance = Math.abs(value - values[i]!)
          return distance <= 0.7 ? distance ** 2 / 2 : 0.7 * (distance - 0.35)
        }),
      ) / 6,
  },
  { terms: [{ loss: 'cosine-pairs' }], setting: pairs, expected: pairError },
  { terms: [{ loss: 'embedding' }], setting: embedded, expected: embeddingError },
  { terms: [{ loss: 'pairwise' }], setting: ranked, expected: rankingLoss },
  {
    terms: [{ loss: 'reconstruction' }],
    setting: { batch: 3, shape: [3, 2], input: originals },
    expected: (z) => sum(z.map((value, i) => (value - originals[i]!) ** 2)) / 6,
  },
]

describe('the losses of other tasks', () => {
  it.each(otherCases)('$terms have the value and the gradient of the formula', async (entry) => {
    const { setting, expected } = entry
    const output = numbersOf(
      'output',
      setting.shape.reduce((a, b) => a * b),
      1.5,
    )
    const { value, gradient } = await computedIn(parsed(entry.terms), output, setting)
    expect(relativeError([value], [expected(output)])).toBeLessThan(1e-5)
    expect(relativeError(gradient, differences(expected, output))).toBeLessThan(1e-5)
  })

  it.each([
    ['binary-cross-entropy', manyLabels],
    ['kl-binary', manyLabels],
    ['pairwise', ranked],
    ['huber', valued],
    ['cosine-pairs', pairs],
  ])('%s stays finite for outputs of any size', async (loss, setting) => {
    const count = setting.shape.reduce((a, b) => a * b)
    for (const scale of [0, 1e4]) {
      const found = await computedIn(parsed([{ loss }]), numbersOf('large', count, scale), setting)
      expect([found.value, ...found.gradient].every(Number.isFinite)).toBe(true)
    }
  })

  it('count nothing where no position and no value counts', async () => {
    const nothing = await computedIn(parsed([{ loss: 'cross-entropy' }]), numbersOf('z', 24), {
      ...tagged,
      targets: new Array(24).fill(0),
    })
    expect(Math.abs(nothing.value)).toBe(0)
    expect(nothing.gradient.every((value) => Math.abs(value) === 0)).toBe(true)
    const unknown = { ...manyLabels, values: new Array(6).fill(-1) }
    const found = await computedIn(
      parsed([{ loss: 'binary-cross-entropy' }]),
      numbersOf('z', 6),
      unknown,
    )
    expect(found.value).toBe(0)
  })

  it('see through a closing Sigmoid', async () => {
    const { g } = newModel('sigmoid')
    const logits = g.input('z', { dtype: 'float32', shape: [2, 3] })
    const output = g.Reshape(g.Sigmoid(logits), [2, 3, 1])
    output.type = { dtype: 'float32', shape: [2, 3, 1] }
    const { context } = lossContext(
      g,
      { inputs: [], outputs: [output] },
      { batch: 2, where: 'test' },
    )
    const found = context.binaryLogits()
    expect(shapeOf(found)).toEqual([2, 3])
    const makers: string[] = []
    let value: Value | undefined = found
    for (; value?.producer; value = value.producer.inputs[0]) makers.push(value.producer.opType)
    expect(value).toBe(logits)
    expect(makers).not.toContain('Sigmoid')
  })

  it.each([
    [
      'targets of another width',
      'squared-error',
      { ...valued, targetWidth: 3 },
      "test: the outputs do not fit the targets: output 'logits' [3,2] needs 2 values a sample, the data has 3 — use a model with 3 outputs, or other data",
    ],
    [
      'an odd batch of pairs',
      'cosine-pairs',
      { ...pairs, batch: 3, shape: [3, 3] },
      "test: 'cosine-pairs' takes samples in pairs: a batch of 3 — use an even one",
    ],
    [
      'candidates without groups',
      'pairwise',
      { ...ranked, group: 1 },
      "test: 'pairwise' takes one score for each of a group's candidates: groups of 1, a batch of 6, 1 outputs — use 'binary-cross-entropy', or whole groups",
    ],
    [
      'positions with other classes',
      'cross-entropy',
      { ...tagged, classes: 5 },
      "test: the outputs do not fit the labels: output 'logits' [2,3,4] for 5 classes — use a model with 5 outputs, or other data",
    ],
  ])('refuse %s', async (_what, loss, setting, message) => {
    await expect(computedIn(parsed([{ loss }]), [], setting)).rejects.toThrow(message)
  })
})
