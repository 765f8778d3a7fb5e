// Whole training steps of a tiny net against the same net, loss and optimizer in float64.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { type OptimizerOptions, optimizerOptions } from '../../train/options.ts'
import { updateGraph, wholeGraph } from '../../train/training-graph.ts'
import { hyperOf, type UpdateOptions } from '../../train/update.ts'
import { type NdArray, nd } from '../support/reference/nd.ts'
import { differences, reference, relativeError } from '../support/reference.ts'

const [batch, classes] = [6, 3]
const shapes = { w1: [3, 4], scale: [4], shift: [4], w2: [classes, 4], bias: [classes] } as const
type Name = keyof typeof shapes
const drawn = (label: string, count: number, spread = 1) => {
  const source = random(3, label)
  return Float32Array.from({ length: count }, () => spread * source.normal())
}
const initial = Object.fromEntries(
  Object.entries(shapes).map(([name, dims]) => [name, drawn(name, sizeOf(dims))]),
) as Record<Name, Float32Array>
const inputs = drawn('inputs', batch * 3)
const teacher = drawn('teacher', batch * classes, 2)

/** relu(norm(x w1)) w2ᵀ + bias, with BatchNormalization for the norm. */
function tinyModel(): Model {
  const { model, g } = newModel('tiny')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3] })
  const parameter = (name: Name) =>
    g.constant(tensorOf('float32', shapes[name], initial[name]), name)
  const statistics = [0, 1].map((value) =>
    g.constant(tensorOf('float32', [4], Array<number>(4).fill(value)), 'statistic'),
  )
  const product = g.MatMul(x, parameter('w1'))
  const norm = g.BatchNormalization(product, parameter('scale'), parameter('shift'), ...statistics)
  const [logits] = g.node('Gemm', [g.Relu(norm), parameter('w2'), parameter('bias')], {
    attributes: { transB: 1 },
  })
  g.output('logits', logits!, { dtype: 'float32', shape: ['N', classes] })
  return model
}

/** The mean squared error to the teacher in float64. */
function lossOf(weights: Record<string, NdArray>): number {
  const { w1, scale, shift, w2, bias } = weights
  const product = reference.MatMul!([nd([batch, 3], inputs), w1], {})
  const norm = reference.BatchNormalization!([product, scale, shift], { training_mode: 1 })
  const logits = reference.Gemm!([reference.Relu!([norm], {}), w2, bias], { transB: 1 })
  const errors = logits.data.map((logit, index) => (logit - teacher[index]!) ** 2)
  return errors.reduce((sum, error) => sum + error, 0) / errors.length
}

/** Where one weight is in the training. */
interface Place {
  readonly step: number
  readonly rate: number
  readonly decays: boolean
  /** Factor of this weight's learning rate. */
  readonly factor: number
}

/** The same update in float64: one weight at a time, as the papers write it. */
function updated(
  options: OptimizerOptions,
  weight: number,
  gradient: number,
  state: number[],
  { step, rate, decays, factor }: Place,
): number {
  const decay = decays ? options.weightDecay : 0
  if (options.name === 'sgd') {
    const decayed = gradient + decay * weight
    state[0] = options.momentum * state[0]! + decayed
    const direction = options.nesterov ? decayed + options.momentum * state[0] : state[0]
    return weight - rate * factor * direction
  }
  if (options.name !== 'adamw') throw new Error('no formula')
  const [first, second] = options.betas
  state[0] = first * state[0]! + (1 - first) * gradient
  state[1] = second * state[1]! + (1 - second) * gradient ** 2
  const [mean, square] = [state[0] / (1 - first ** step), state[1] / (1 - second ** step)]
  const direction = mean / (Math.sqrt(square) + options.epsilon) + decay * weight
  return weight - rate * factor * direction
}

const rates = [0.1, 0.05, 0.02, 0.2]

const scalars = (update: UpdateOptions, index: number, rate: number): Record<string, Tensor> =>
  Object.fromEntries(
    hyperOf(update, index + 1, rate).map((value, place) => [
      `hyper${place}`,
      tensorOf('float32', [], [value]),
    ]),
  )
const vector = (values: Float32Array) => tensorOf('float32', [values.length], values)

/** The outputs `…_next` of a step under the names of the inputs. */
const next = (results: Record<string, Tensor>): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(results)
      .filter(([name]) => name.endsWith('_next'))
      .map(([name, tensor]) => [name.slice(0, -'_next'.length), tensor]),
  )

const definition = (update: UpdateOptions, freeze: readonly string[] = []) => ({
  model: tinyModel(),
  forward: {
    ...{ batch, classes, freeze, batchStatistics: true, dropout: true },
    losses: [{ loss: 'mse', weight: 1, distance: 'squared' } as const],
  },
  update,
})

const fed = { x: tensorOf('float32', [batch, 3], inputs) }
const taught = tensorOf('float32', [batch, classes], teacher)

/** The flat weights after each step in ONNX Runtime, with the layout. */
async function steps(update: UpdateOptions, freeze?: readonly string[]) {
  const graph = await wholeGraph(definition(update, freeze), 'update', standard)
  const weights = [graph.weights.initial]
  await withSession(graph.model, {}, async (session) => {
    let vectors = Object.fromEntries(
      Object.entries(graph.vectors).map(([name, values]) => [name, vector(values)]),
    )
    for (const [index, rate] of rates.entries()) {
      const answers = { [graph.feeds.teacher.get(0)!.name]: taught }
      const results = await session.run({
        ...{ ...fed, ...answers, ...vectors },
        ...scalars(update, index, rate),
      })
      vectors = next(results)
      weights.push(Float32Array.from(numbers(vectors.weights!)))
    }
  })
  return { slots: graph.weights.slots, weights }
}

const parse = (options: object) => optimizerOptions.parse(options)

const cases: readonly { options: OptimizerOptions; clip?: number; factors?: object }[] = [
  { options: parse({ name: 'sgd', momentum: 0, weightDecay: 0 }) },
  { options: parse({ name: 'sgd', weightDecay: 0 }) },
  { options: parse({ name: 'sgd', momentum: 0.8, nesterov: true, weightDecay: 0 }) },
  { options: parse({ name: 'sgd', weightDecay: 0.3 }) },
  { options: parse({ name: 'sgd', nesterov: true, weightDecay: 0.3 }), clip: 0.2 },
  { options: parse({ name: 'sgd', momentum: 0, weightDecay: 0 }), clip: 100 },
  { options: parse({ name: 'adamw', weightDecay: 0 }) },
  { options: parse({ name: 'adamw', weightDecay: 0.5, betas: [0.8, 0.95] }) },
  { options: parse({ name: 'adamw', epsilon: 0.1 }), clip: 0.2 },
  { options: parse({ name: 'sgd', weightDecay: 0.3 }), factors: { 'op:Gemm': 3, MatMul: 0.5 } },
  { options: parse({ name: 'adamw', weightDecay: 0.3 }), factors: { 'op:Gemm': 3, MatMul: 0.5 } },
]

describe('a training step', () => {
  it.each(cases.map((each) => [JSON.stringify(each), each] as const))(
    'is that of the formula: %s',
    async (_, { options, clip, factors = {} }) => {
      const { slots, weights } = await steps({ optimizer: options, clip, rates: { ...factors } })
      expect(slots.map(({ name }) => name).sort()).toEqual(Object.keys(shapes).sort())

      const unpacked = (flat: Float64Array) =>
        Object.fromEntries(
          slots.map(({ name, dims, offset, size }) => [
            name,
            nd(dims, flat.subarray(offset, offset + size)),
          ]),
        )
      let expected = Float64Array.from(weights[0]!)
      const states = Array.from(expected, () => [0, 0])
      const decays = slots.flatMap(({ name, size }) =>
        Array<boolean>(size).fill(name === 'w1' || name === 'w2'),
      )
      const factorOf: Record<string, number> =
        Object.keys(factors).length > 0 ? { w1: 0.5, w2: 3, bias: 3 } : {}
      const own = slots.flatMap(({ name, size }) => Array<number>(size).fill(factorOf[name] ?? 1))
      for (const [index, rate] of rates.entries()) {
        const gradient = differences((flat) => lossOf(unpacked(flat)), expected)
        const norm = Math.hypot(...gradient)
        const share = clip === undefined ? 1 : Math.min(1, clip / norm)
        expected = expected.map((weight, place) =>
          updated(options, weight, share * gradient[place]!, states[place]!, {
            step: index + 1,
            rate,
            decays: decays[place]!,
            factor: own[place]!,
          }),
        )
        expect(relativeError(weights[index + 1]!, expected)).toBeLessThan(1e-5)
      }
    },
  )

  it.each([parse({ name: 'sgd', weightDecay: 0.3 }), parse({ name: 'adamw', weightDecay: 0.3 })])(
    'of $name leaves masked weights exactly as they are',
    async (optimizer) => {
      const mask = Float32Array.from({ length: 12 }, (_, index) => index % 3 && 1)
      const { slots, weights } = await steps({ optimizer, masks: new Map([['w1', mask]]) })
      const { offset, size } = slots.find(({ name }) => name === 'w1')!
      const [before, after] = [weights[0]!, weights.at(-1)!].map((flat) =>
        flat.subarray(offset, offset + size),
      )
      for (const [index, learns] of mask.entries())
        expect(after![index] === before![index]).toBe(learns === 0)
    },
  )

  it('does not see the weights of frozen layers', async () => {
    const { slots } = await steps({ optimizer: parse({ name: 'sgd' }) }, ['op:Gemm', 'MatMul*'])
    expect(slots.map(({ name }) => name).sort()).toEqual(['scale', 'shift'])
  })

  it.each([
    ['a selector that matches no layer', ['nowhere'], /^freeze: matches no layer: 'nowhere'/],
    ['nothing to train', ['*'], /^model: has no float32 weights to train/],
  ])('refuses %s', async (_, freeze, message) => {
    await expect(steps({ optimizer: parse({ name: 'sgd' }) }, freeze)).rejects.toThrow(message)
  })

  it.each([parse({ name: 'adamw', weightDecay: 0.3 }), parse({ name: 'lamb' })])(
    'of $name is the same with the gradients of two batches added up',
    async (optimizer) => {
      const whole = await steps({ optimizer })
      const update = { optimizer, accumulate: 2 }
      const half = await wholeGraph(definition(update), 'accumulate', standard)
      const rest = await updateGraph(definition(update))
      const zeros = vector(new Float32Array(half.weights.initial.length))
      await withSession(half.model, {}, (forth) =>
        withSession(rest.model, {}, async (back) => {
          let vectors = Object.fromEntries(
            Object.entries(rest.vectors).map(([name, values]) => [name, vector(values)]),
          )
          let statistics = vector(half.statistics.initial)
          for (const [index, rate] of rates.entries()) {
            let accumulated = zeros
            for (let part = 0; part < 2; part++) {
              const answers = { [half.feeds.teacher.get(0)!.name]: taught }
              const { weights } = vectors
              const sum = next(
                await forth.run({ ...fed, ...answers, weights: weights!, accumulated, statistics }),
              )
              accumulated = sum.accumulated!
              statistics = sum.statistics!
            }
            const feeds = { ...vectors, gradient: accumulated, ...scalars(update, index, rate) }
            vectors = next(await back.run(feeds))
            expect(
              relativeError(numbers(vectors.weights!), whole.weights[index + 1]!),
            ).toBeLessThan(1e-6)
          }
        }),
      )
    },
  )
})
