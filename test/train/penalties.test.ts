// Penalties: the number and the gradient that each adds, by its paper's formula written once more.
import { beforeAll, describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { penalisedGroups } from '../../stages/penalised-groups.ts'
import { train } from '../../train/loop.ts'
import { type PenaltyOptions, penaltyOptions } from '../../train/penalties.ts'
import type { PenalisedGroup } from '../../train/penalty.ts'
import { classes, settingsFor, shape } from './support.ts'

/** Two convolutions, the first normalized, and a matrix that takes nine cells of each channel. */
function net(): Model {
  const { model, g } = newModel('net')
  const source = random(3, 'penalties')
  const weight = (name: string, dims: number[], mean = 0) => {
    const size = dims.reduce((product, dim) => product * dim, 1)
    const values = Float32Array.from({ length: size }, () => mean + 0.3 * source.normal())
    return g.constant(tensorOf('float32', dims, values), name)
  }
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  const first = g.Conv(x, weight('w1', [6, 2, 3, 3]), { strides: [2, 2] })
  const ones = tensorOf('float32', [6], new Float32Array(6).fill(1))
  const zeros = tensorOf('float32', [6], new Float32Array(6))
  const normal = g.BatchNormalization(
    first,
    weight('scale', [6], 1),
    weight('shift', [6]),
    g.constant(zeros, 'mean'),
    g.constant(ones, 'variance'),
  )
  const second = g.Conv(g.Relu(normal), weight('w2', [5, 6, 1, 1]), weight('b2', [5]))
  const flat = g.Flatten(g.Relu(second))
  const answer = g.Gemm(flat, weight('w3', [45, classes]), weight('b3', [classes]))
  g.output('answer', answer, { dtype: 'float32', shape: ['N', classes] })
  return model
}

const model = net()
const weightsOf = ({ graph }: Model) =>
  new Map([...graph.initializers].map(({ name, tensor }) => [name, tensor!]))

/** The elements of the channels of the first group and of the second, by the name of the constant. */
const channels: readonly (readonly [string, (index: number) => number])[][] = [
  [
    ['w1', (index) => Math.floor(index / 18)],
    ['scale', (index) => index],
    ['shift', (index) => index],
    ['w2', (index) => index % 6],
  ],
  [
    ['w2', (index) => Math.floor(index / 6)],
    ['b2', (index) => index],
    ['w3', (index) => Math.floor(index / 4 / 9)],
  ],
]

type Gradients = Map<string, Float64Array>
interface Expected {
  readonly value: number
  readonly gradients: Gradients
}

/** Adds g to the gradient of an element. */
function addTo(gradients: Gradients, name: string, index: number, g: number): void {
  const own = gradients.get(name) ?? new Float64Array(weightsOf(model).get(name)!.size)
  gradients.set(name, own)
  own[index]! += g
}

function absolute(names: readonly string[], weight: number): Expected {
  const gradients: Gradients = new Map()
  let value = 0
  for (const name of names)
    for (const [index, w] of elements(weightsOf(model).get(name)!, 'float32').entries()) {
      value += weight * Math.abs(w)
      addTo(gradients, name, index, weight * Math.sign(w))
    }
  return { value, gradients }
}

/** Σ over the elements of each channel of each group, with the gradient of a function of the sum of squares. */
function overChannels(
  of: (
    squares: Float64Array,
    count: number,
    group: number,
  ) => {
    value: number
    /** d value / d w as a factor of w, by channel. */
    factors: readonly number[]
  },
): Expected {
  const gradients: Gradients = new Map()
  let value = 0
  for (const [group, members] of channels.entries()) {
    const size = group === 0 ? 6 : 5
    const squares = new Float64Array(size)
    let count = 0
    const each = (use: (name: string, index: number, channel: number, w: number) => void) => {
      for (const [name, channelOf] of members)
        for (const [index, w] of elements(weightsOf(model).get(name)!, 'float32').entries())
          use(name, index, channelOf(index), w)
    }
    each((_name, _index, channel, w) => {
      squares[channel]! += w ** 2
      count++
    })
    const found = of(squares, count / size, group)
    value += found.value
    each((name, index, channel, w) => addTo(gradients, name, index, found.factors[channel]! * w))
  }
  return { value, gradients }
}

/** The channels with the smallest Σ |w| over kernels and matrices. */
function smallest(group: number, count: number): number[] {
  const size = group === 0 ? 6 : 5
  const sums = new Float64Array(size)
  for (const [name, channelOf] of channels[group]!)
    if (name.startsWith('w'))
      for (const [index, w] of elements(weightsOf(model).get(name)!, 'float32').entries())
        sums[channelOf(index)]! += Math.abs(w)
  return [...sums.keys()].sort((a, b) => sums[a]! - sums[b]!).slice(0, count)
}

const cases: readonly (readonly [Record<string, unknown>, () => Expected])[] = [
  [{ penalty: 'l1', weight: 0.01 }, () => absolute(['w1', 'w2', 'w3'], 0.01)],
  [{ penalty: 'l1', weight: 0.01, layers: ['op:Gemm'] }, () => absolute(['w3'], 0.01)],
  [{ penalty: 'slimming', weight: 0.02 }, () => absolute(['scale'], 0.02)],
  [
    { penalty: 'group-lasso', weight: 0.003 },
    () =>
      overChannels((squares, count) => ({
        value: [...squares].reduce((sum, s) => sum + 0.003 * Math.sqrt(count * s), 0),
        factors: [...squares].map((s) => 0.003 * Math.sqrt(count / s)),
      })),
  ],
  [
    { penalty: 'growing', weight: 0.5, share: 0.4 },
    () =>
      overChannels((squares, _, group) => {
        const pushed = new Set(smallest(group, 2))
        return {
          value: [...squares].reduce((sum, s, at) => sum + (pushed.has(at) ? 0.25 * s : 0), 0),
          factors: [...squares].map((_s, at) => (pushed.has(at) ? 0.5 : 0)),
        }
      }),
  ],
]

const rate = 0.1
const plain = {
  epochs: 1,
  batch: 96,
  schedule: 'constant',
  optimizer: { name: 'sgd', rate, momentum: 0, nesterov: false, weightDecay: 0 },
} as const

const trained = (penalties: readonly PenaltyOptions[], groups: readonly PenalisedGroup[]) =>
  train(model, settingsFor({ ...plain, penalties }, { groups }))

describe('penalties', () => {
  let groups: readonly PenalisedGroup[] = []
  let without: Awaited<ReturnType<typeof train>>
  beforeAll(async () => {
    groups = await penalisedGroups(model)
    without = await trained([], groups)
  })

  it.each(cases)('%j adds its number and its gradient', async (options, expected) => {
    const { value, gradients } = expected()
    const { model: result, epochs } = await trained([penaltyOptions.parse(options)], groups)
    expect(epochs[0]!.terms).toHaveLength(2)
    expect(epochs[0]!.terms![1]).toBeCloseTo(value, 5)
    expect(epochs[0]!.loss).toBeCloseTo(without.epochs[0]!.loss + value, 5)
    const [base, now] = [weightsOf(without.model), weightsOf(result)]
    for (const [name, tensor] of now) {
      const before = elements(base.get(name)!, 'float32')
      const wanted = gradients.get(name) ?? new Float64Array(tensor.size)
      for (const [index, w] of elements(tensor, 'float32').entries())
        expect(Math.abs((before[index]! - w) / rate - wanted[index]!)).toBeLessThan(1e-5)
    }
  })

  it('have a finite gradient where weights are zero, which stay so', async () => {
    const zeroed = net()
    for (const value of zeroed.graph.initializers)
      if (['w1', 'w2', 'scale', 'shift', 'b2'].includes(value.name))
        value.tensor = tensorOf('float32', value.tensor!.dims, new Float32Array(value.tensor!.size))
    const penalties = ['l1', 'slimming', 'group-lasso', 'growing'].map((penalty) =>
      penaltyOptions.parse({ penalty, weight: 1 }),
    )
    const settings = settingsFor({ ...plain, epochs: 2, penalties }, { groups })
    const { model: result } = await train(zeroed, settings)
    expect([...elements(weightsOf(result).get('w1')!, 'float32')]).toEqual(new Array(108).fill(0))
    expect([...elements(weightsOf(result).get('w2')!, 'float32')]).toEqual(new Array(30).fill(0))
  })

  it('follow a factor that changes', async () => {
    const weight = { from: 0, to: 0.02, shape: 'step', start: 1, end: 1 }
    const { epochs } = await train(
      model,
      settingsFor(
        { ...plain, epochs: 2, penalties: [penaltyOptions.parse({ penalty: 'l1', weight })] },
        { groups },
      ),
    )
    expect(epochs[0]!.terms![1]).toBe(0)
    expect(epochs[1]!.terms![1]).toBeGreaterThan(0)
  })

  it.each([
    [{ penalty: 'slimming', layers: ['op:Conv'] }, /^penalties\.slimming: model has no BatchNorm/],
    [{ penalty: 'l1', layers: ['nothing'] }, /^penalties\.l1: matches no layer: 'nothing'/],
    [{ penalty: 'growing', layers: ['op:Gemm'] }, /^penalties\.growing: model has no channels/],
  ])('say what %j lacks', async (options, message) => {
    await expect(trained([penaltyOptions.parse(options)], groups)).rejects.toThrow(message)
  })
})
