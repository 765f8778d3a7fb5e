// Whole training graphs as the CPU gets them against the same in standard operators.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { loweringFor } from '../../train/lowerings/choose.ts'
import type { Lowering } from '../../train/lowerings/lowering.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { type Definition, wholeGraph } from '../../train/training-graph.ts'
import { relativeError } from '../support/reference.ts'

const [batch, classes] = [16, 5]

const draw = (seed: string, dims: readonly number[], scale = 1) => {
  const { normal } = random(1, seed)
  return tensorOf(
    'float32',
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => normal() * scale),
  )
}

/** A convolution of 3x3 (or 1x1) with BatchNormalization behind it. */
function layer(
  g: Builder,
  x: Value,
  name: string,
  dims: readonly number[],
  attributes = {},
): Value {
  const w = g.constant(draw(name, dims, 0.3), name)
  const pads = new Array(4).fill((dims[2]! - 1) / 2)
  const y = g.Conv(x, w, { pads, ...attributes })
  const vector = (what: string, offset: number) => {
    const { normal } = random(1, name, what)
    const values = Float32Array.from({ length: dims[0]! }, () => offset + 0.1 * normal())
    return g.constant(tensorOf('float32', [dims[0]!], values), `${name}_${what}`)
  }
  const [scale, bias] = [vector('scale', 1), vector('bias', 0.2)]
  return g.BatchNormalization(y, scale, bias, vector('mean', 0), vector('variance', 1.5))
}

/** A network, and how many channels it ends with. */
interface Network {
  readonly channels: number
  readonly write: (g: Builder, x: Value) => Value
}

const networks: Readonly<Record<string, Network>> = {
  'a residual block': {
    channels: 32,
    write: (g, x) => {
      const stem = g.Relu(layer(g, x, 'stem', [16, 3, 3, 3]))
      const inner = g.Relu(layer(g, stem, 'a', [32, 16, 3, 3], { strides: [2, 2] }))
      const shortcut = layer(g, stem, 'c', [32, 16, 1, 1], { strides: [2, 2] })
      return g.Relu(g.Add(layer(g, inner, 'b', [32, 32, 3, 3]), shortcut))
    },
  },
  'a block of depthwise convolutions, with HardSwish and a gate per channel': {
    channels: 16,
    write: (g, x) => {
      const stem = g.HardSwish(layer(g, x, 'stem', [16, 3, 3, 3], { strides: [2, 2] }))
      const wide = g.Clip(layer(g, stem, 'a', [32, 16, 1, 1]), 0, 6)
      const deep = g.Relu(layer(g, wide, 'b', [32, 1, 3, 3], { group: 32 }))
      const pooled = g.GlobalAveragePool(deep)
      const gate = g.HardSigmoid(g.Conv(pooled, g.constant(draw('gate', [32, 32, 1, 1]), 'gate')))
      const thin = layer(g, g.Mul(deep, gate), 'd', [16, 32, 1, 1])
      return g.Add(thin, stem)
    },
  },
  'biases, pooling and a concatenation between convolutions': {
    channels: 32,
    write: (g, x) => {
      const stem = g.Conv(
        x,
        g.constant(draw('stem', [16, 3, 3, 3], 0.3), 'stem'),
        g.constant(draw('bias', [16], 0.3), 'bias'),
        { pads: [1, 1, 1, 1] },
      )
      const pooled = g.MaxPool(g.LeakyRelu(stem), { kernel_shape: [2, 2], strides: [2, 2] })
      const [a, b] = ['a', 'b'].map((name) => g.Sigmoid(layer(g, pooled, name, [16, 16, 3, 3])))
      const both = g.Concat(a, b, { axis: 1 })
      const column = g.constant(draw('column', [32, 1, 1]), 'column')
      return g.Tanh(g.Sub(g.Mul(layer(g, both, 'c', [32, 32, 3, 3]), column), column))
    },
  },
}

function modelOf({ channels, write }: Network): Model {
  const { model, g } = newModel('network')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 8, 8] })
  const features = g.Flatten(g.GlobalAveragePool(write(g, x)))
  g.output('y', g.MatMul(features, g.constant(draw('head', [channels, classes]), 'head')), {
    dtype: 'float32',
    shape: ['N', classes],
  })
  return model
}

/** Loss, gradient and the batch's statistics. */
async function computed(model: Model, lowering: Lowering, batchStatistics: boolean) {
  const definition: Definition = {
    model,
    forward: {
      ...{ batch, classes, freeze: [], batchStatistics, dropout: true },
      losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
    },
    update: {
      optimizer: { name: 'sgd', rate: 0.1, momentum: 0, nesterov: false, weightDecay: 0 },
    },
  }
  const graph = await wholeGraph(definition, 'accumulate', lowering)
  const targets = new Float32Array(batch * classes)
  for (let row = 0; row < batch; row++) targets[row * classes + (row % classes)] = 1
  const feeds: Record<string, Tensor> = {
    x: draw('x', [batch, 3, 8, 8]),
    targets: tensorOf('float32', [batch, classes], targets),
    weights: tensorOf('float32', [graph.weights.initial.length], graph.weights.initial),
  }
  for (const [name, vector] of Object.entries(graph.vectors))
    feeds[name] = tensorOf('float32', [vector.length], vector)
  const results = await withSession(graph.model, { threads: 2 }, (session) => session.run(feeds))
  return { results, nodes: graph.model.graph.nodes }
}

/** Attention of an image's rows to one another. */
const attention: Network = {
  channels: 3,
  write: (g, x) => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) =>
      g.MatMul(x, g.constant(draw(name, [8, 8], 0.3), name)),
    )
    const scores = g.MatMul(q, g.Transpose(k, { perm: [0, 1, 3, 2] }))
    return g.MatMul(g.Softmax(scores, { axis: -1 }), v)
  },
}

describe('activations in blocks', () => {
  const cases = Object.entries(networks).flatMap(([name, network]) =>
    [true, false].map((training) => ({ name, network, training })),
  )
  it.each(cases)(
    'give the gradient of $name, batch statistics: $training',
    async ({ network, training }) => {
      const model = modelOf(network)
      const right = await computed(model, standard, training)
      const found = await computed(model, await loweringFor('cpu'), training)
      expect(found.nodes.map(({ domain }) => domain)).toContain('com.microsoft.nchwc')
      for (const [name, tensor] of Object.entries(right.results)) {
        const [a, b] = [found.results[name]!, tensor].map((each) => elements(each, 'float32'))
        expect(relativeError(a!, b!)).toBeLessThan(1e-5)
      }
    },
  )
})

it('reads transposed matrices as they are', async () => {
  const model = modelOf(attention)
  const right = await computed(model, standard, true)
  const found = await computed(model, await loweringFor('cpu'), true)
  const transposed = found.nodes.filter(({ opType }) => opType === 'FusedMatMul')
  expect(transposed.length).toBeGreaterThanOrEqual(5)
  for (const [name, tensor] of Object.entries(right.results)) {
    const [a, b] = [found.results[name]!, tensor].map((each) => elements(each, 'float32'))
    expect(relativeError(a!, b!)).toBeLessThan(1e-5)
  }
})
