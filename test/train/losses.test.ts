import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { lossContext } from '../../train/loss-context.ts'
import { losses, needsTeacher, writeLoss } from '../../train/losses.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { type LossOptions, lossOptions } from '../../train/options.ts'
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

/** Value and gradient by the logits, from ONNX Runtime. */
async function computed(
  terms: readonly LossOptions[],
  logits: Float64Array,
  classWeights?: readonly number[],
) {
  const { model, g } = newModel('loss')
  const input = (name: string) => g.input(name, { dtype: 'float32', shape: [batch, classes] })
  const logitsInput = input('logits')
  const { context } = lossContext(g, [logitsInput], { batch, classes, classWeights, where: 'test' })
  // All that could be fed is, whether the losses ask for it or not.
  context.targets()
  context.teacher(0)
  const loss = g.Mul(writeLoss(g, context, terms), 1)
  g.graph.outputs.push(loss)
  await inferShapes(model)
  const found = backward(g, loss, new Set([logitsInput]), standard)
  g.output('gradient', found.get(logitsInput)!)
  const targets = labels.flatMap((label) => [0, 1, 2, 3].map((each) => Number(each === label)))
  const feed = (values: Iterable<number>) =>
    tensorOf('float32', [batch, classes], Float32Array.from(values))
  const results = await withSession(model, {}, (session) =>
    session.run({ logits: feed(logits), targets: feed(targets), teacher0: feed(teacher) }),
  )
  return {
    value: numbers(results[loss.name]!)[0]!,
    gradient: numbers(results.gradient!),
  }
}

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

  it('have a case each', () => {
    const tried = cases.flatMap(({ terms }) => parsed(terms).map(({ loss }) => loss))
    expect([...new Set(tried)].sort()).toEqual(Object.keys(losses).sort())
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
  })
})
