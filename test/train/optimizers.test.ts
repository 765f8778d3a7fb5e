// Updates in ONNX Runtime against the papers' formulas in float64, one weight at a time.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import type { Slot } from '../../train/flat.ts'
import { safeInPlace } from '../../train/in-place.ts'
import { isMatrix, optimizerOf, optimizers } from '../../train/optimizers.ts'
import { type OptimizerOptions, optimizerOptions } from '../../train/options.ts'
import { relativeError } from '../support/reference.ts'

const parse = (options: object) => optimizerOptions.parse(options)

const slots: Slot[] = []
for (const [name, dims] of Object.entries({
  matrix: [3, 4],
  bias: [5],
  kernel: [2, 3, 3, 3],
  scale: [4],
  column: [6, 1],
  zeros: [2, 2],
  last: [7, 2],
})) {
  const { offset, size } = slots.at(-1) ?? { offset: 0, size: 0 }
  slots.push({ name, dims, offset: offset + size, size: sizeOf(dims) })
}
const length = slots.reduce((sum, { size }) => sum + size, 0)
const bySlot = (value: (slot: Slot, index: number) => number) =>
  Float32Array.from(
    slots.flatMap((slot, index) => Array<number>(slot.size).fill(value(slot, index))),
  )
const drawn = (label: string, spread = 1) => {
  const source = random(5, label)
  return Float32Array.from({ length }, () => spread * source.normal())
}

const nonzero = bySlot(({ name }) => (name === 'zeros' ? 0 : 1))
const initial = drawn('weights').map((weight, place) => weight * nonzero[place]!)
const target = drawn('target')
const matrices = bySlot((slot) => Number(isMatrix(slot)))
const factors = bySlot((_, index) => [1, 10, 0.1, 1, 3, 0.5, 1][index]!)
// Up and down, so that an update with the rate of another step shows.
const rates = Array.from({ length: 24 }, (_, step) => 0.02 * (1.1 + Math.sin(step)))

interface Place {
  readonly options: OptimizerOptions
  readonly step: number
  readonly decay: number
}

/** The direction in which one weight moves, before learning rate and trust ratio; `memory` is kept between steps. */
function direction(weight: number, plain: number, memory: number[], place: Place): number {
  const { options, step, decay } = place
  const gradient = plain + decay * weight
  const running = (index: number, keep: number, value: number) => {
    memory[index] = keep * (memory[index] ?? 0) + (1 - keep) * value
    return memory[index]
  }
  const driven = (index: number, momentum: number, value: number) => {
    memory[index] = momentum * (memory[index] ?? 0) + value
    return memory[index]
  }
  const adam = (by: number, betas: readonly [number, number], epsilon: number) => {
    const mean = running(0, betas[0], by) / (1 - betas[0] ** step)
    const square = running(1, betas[1], by ** 2) / (1 - betas[1] ** step)
    return mean / (Math.sqrt(square) + epsilon)
  }
  switch (options.name) {
    case 'sgd': {
      const velocity = driven(0, options.momentum, gradient)
      return options.nesterov ? gradient + options.momentum * velocity : velocity
    }
    case 'rmsprop': {
      const square = running(0, options.alpha, gradient ** 2)
      const mean = options.centred ? running(1, options.alpha, gradient) : 0
      const adapted = gradient / (Math.sqrt(square - mean ** 2) + options.epsilon)
      return driven(2, options.momentum, adapted)
    }
    case 'adam':
      return adam(gradient, options.betas, options.epsilon)
    default:
      return adam(plain, options.betas, options.epsilon) + decay * weight
  }
}

/** ‖w‖ / ‖u‖, 1 where either is 0. */
function trustRatio(weights: Float64Array, updates: Float64Array): number {
  const ratio = Math.hypot(...weights) / Math.hypot(...updates)
  return ratio > 0 && ratio < Number.POSITIVE_INFINITY ? ratio : 1
}

interface Setting {
  readonly rates?: Float32Array
  readonly decays?: Float32Array
  readonly mask?: Float32Array
}

/** All weights after a step. */
function updated(
  options: OptimizerOptions,
  weights: Float64Array,
  gradient: Float32Array,
  memories: number[][],
  { step, rate, setting }: { step: number; rate: number; setting: Setting },
): Float64Array {
  const { decays = matrices } = setting
  const directions = weights.map((weight, place) =>
    direction(weight, gradient[place]!, memories[place]!, {
      ...{ options, step },
      decay: options.weightDecay * decays[place]!,
    }),
  )
  if (options.name === 'lamb')
    for (const { offset, size } of slots.filter(isMatrix)) {
      const own = directions.subarray(offset, offset + size)
      const ratio = trustRatio(weights.subarray(offset, offset + size), own)
      for (const [index, value] of own.entries()) own[index] = ratio * value
    }
  return weights.map(
    (weight, place) => weight - rate * (setting.rates?.[place] ?? 1) * directions[place]!,
  )
}

function updateModel(options: OptimizerOptions, { rates, decays = matrices }: Setting) {
  const { model, g } = newModel('update')
  const vector = { dtype: 'float32', shape: [length] } as const
  const optimizer = optimizerOf(options)
  const constant = (values: Float32Array) => g.constant(tensorOf('float32', [length], values))
  const next = optimizer.update(
    g,
    {
      weights: g.input('weights', vector),
      gradient: g.input('gradient', vector),
      state: optimizer.state.map((_, index) => g.input(`state${index}`, vector)),
      hyper: optimizer
        .hyper(1, 1, options)
        .map((_, index) => g.input(`hyper${index}`, { dtype: 'float32', shape: [] })),
      decays: constant(decays),
      rates: rates && constant(rates),
      slots,
    },
    options,
  )
  expect(next.state).toHaveLength(optimizer.state.length)
  g.output('weights_next', next.weights)
  for (const [index, value] of next.state.entries()) g.output(`state${index}_next`, value)
  return { model, optimizer }
}

/** The weights after each step, here and in float64; the gradient follows the latter. */
async function descents(options: OptimizerOptions, setting: Setting = {}) {
  const { model, optimizer } = updateModel(options, setting)
  const vector = (values: Float32Array) => tensorOf('float32', [length], values)
  const found: Float32Array[] = []
  const expected: Float64Array[] = []
  await withSession(model, {}, async (session) => {
    let weights = vector(initial)
    let state = optimizer.state.map(() => vector(new Float32Array(length)))
    let reference: Float64Array = Float64Array.from(initial)
    const memories = Array.from({ length }, (): number[] => [])
    for (const [index, rate] of rates.entries()) {
      const noise = drawn(`noise ${index}`, 0.3)
      const gradient = noise.map(
        (value, place) =>
          (value + reference[place]! - target[place]!) * (setting.mask?.[place] ?? 1),
      )
      const feeds: Record<string, Tensor> = { weights, gradient: vector(gradient) }
      for (const [place, value] of state.entries()) feeds[`state${place}`] = value
      for (const [place, value] of optimizer.hyper(index + 1, rate, options).entries())
        feeds[`hyper${place}`] = tensorOf('float32', [], [value])
      const results = await session.run(feeds)
      weights = results.weights_next!
      state = state.map((_, place) => results[`state${place}_next`]!)
      found.push(Float32Array.from(numbers(weights)))
      const place = { step: index + 1, rate, setting }
      reference = updated(options, reference, gradient, memories, place)
      expected.push(reference)
    }
  })
  return { found, expected }
}

const cases: readonly OptimizerOptions[] = [
  { name: 'sgd', momentum: 0, weightDecay: 0 },
  { name: 'sgd', momentum: 0, weightDecay: 0.3 },
  { name: 'sgd', momentum: 0, nesterov: true },
  { name: 'sgd', weightDecay: 0 },
  { name: 'sgd', momentum: 0.8, nesterov: true, weightDecay: 0 },
  { name: 'sgd', momentum: 0.8, nesterov: true, weightDecay: 0.3 },
  { name: 'adam' },
  { name: 'adam', betas: [0.8, 0.95], epsilon: 0.1, weightDecay: 0.3 },
  { name: 'adam', betas: [0, 0.99] },
  { name: 'adamw', weightDecay: 0 },
  { name: 'adamw', weightDecay: 0.5, betas: [0.8, 0.95] },
  { name: 'adamw', epsilon: 0.1 },
  { name: 'rmsprop' },
  { name: 'rmsprop', alpha: 0.9, epsilon: 0.1, weightDecay: 0.3 },
  { name: 'rmsprop', alpha: 0.9, momentum: 0.7 },
  { name: 'rmsprop', alpha: 0.9, centred: true },
  { name: 'rmsprop', alpha: 0.8, centred: true, momentum: 0.7, weightDecay: 0.3 },
  { name: 'rmsprop', alpha: 0, momentum: 0.5 },
  { name: 'lamb' },
  { name: 'lamb', weightDecay: 0 },
  { name: 'lamb', betas: [0.8, 0.95], epsilon: 0.1, weightDecay: 0.3 },
].map(parse)
const titled = cases.map((options) => [JSON.stringify(options), options] as const)

describe('24 updates', () => {
  it.each(titled)('are those of the formula: %s', async (_, options) => {
    for (const setting of [{}, { rates: factors }]) {
      const { found, expected } = await descents(options, setting)
      for (const [index, weights] of found.entries()) {
        expect(relativeError(weights, expected[index]!)).toBeLessThan(1e-5)
        const moved = weights.map((weight, place) => weight - initial[place]!)
        const way = expected[index]!.map((weight, place) => weight - initial[place]!)
        expect(relativeError(moved, way)).toBeLessThan(1e-5)
      }
    }
  })

  it('have every optimizer among the cases', () => {
    const tried = new Set(cases.map(({ name }) => name))
    expect([...tried].sort()).toEqual(Object.keys(optimizers).sort())
  })

  it.each(titled)(
    'leave weights without gradient and decay as they are: %s',
    async (_, options) => {
      const mask = Float32Array.from({ length }, (_, place) => Number(place % 3 > 0))
      const decays = matrices.map((flag, place) => flag * mask[place]!)
      const { found, expected } = await descents(options, { mask, decays, rates: factors })
      expect(relativeError(found.at(-1)!, expected.at(-1)!)).toBeLessThan(1e-5)
      for (const [place, learns] of mask.entries())
        expect(found.at(-1)![place] === initial[place]).toBe(learns === 0)
    },
  )

  it.each(titled)('may overwrite what they read: %s', (_, options) => {
    const { model, optimizer } = updateModel(options, { rates: factors })
    const names = ['weights', ...optimizer.state.map((_, index) => `state${index}`)]
    expect([...safeInPlace(model.graph, names)]).toEqual(names)
  })
})

describe('lamb', () => {
  const [matrix] = slots as [Slot]
  const lamb = parse({ name: 'lamb', weightDecay: 0 })

  it('moves a matrix by the rate as a share of its norm, whatever the gradient', async () => {
    const { found } = await descents(lamb)
    const norm = (vector: Float32Array) => Math.hypot(...vector.subarray(0, matrix.size))
    const moved = found[0]!.map((weight, place) => weight - initial[place]!)
    expect(norm(moved) / norm(initial)).toBeCloseTo(rates[0]!, 6)
  })

  it('needs no matrix', async () => {
    const { model, g } = newModel('vectors')
    const type = { dtype: 'float32', shape: [2] } as const
    const scalar = { dtype: 'float32', shape: [] } as const
    const context = {
      weights: g.input('weights', type),
      gradient: g.input('gradient', type),
      state: [g.input('state0', type), g.input('state1', type)],
      hyper: [0, 1, 2].map((index) => g.input(`hyper${index}`, scalar)),
      decays: g.constant(tensorOf('float32', [2], [0, 0])),
      slots: [{ name: 'bias', dims: [2], offset: 0, size: 2 }],
    }
    g.output('weights_next', optimizerOf(lamb).update(g, context, lamb).weights)
    await withSession(model, {}, async (session) => {
      const feeds: Record<string, Tensor> = {
        weights: tensorOf('float32', [2], [3, 4]),
        gradient: tensorOf('float32', [2], [5, -7]),
        state0: tensorOf('float32', [2], [0, 0]),
        state1: tensorOf('float32', [2], [0, 0]),
      }
      for (const [index, value] of optimizerOf(lamb).hyper(1, 0.25, lamb).entries())
        feeds[`hyper${index}`] = tensorOf('float32', [], [value])
      const { weights_next: next } = await session.run(feeds)
      expect(numbers(next!)[0]).toBeCloseTo(2.75, 5)
      expect(numbers(next!)[1]).toBeCloseTo(4.25, 5)
    })
  })
})
