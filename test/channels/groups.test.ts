import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { cutChannels } from '../../channels/cut.ts'
import { channelGroups, type Group } from '../../channels/groups.ts'
import { prepareChannels, restoreInterface } from '../../channels/prepare.ts'
import { type ArchitectureInput, buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { type Builder, newModel, type Operand } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { printGraph } from '../../onnx/text.ts'
import { expectSameAsZeroed, outputsOf, randomCuts } from './masking.ts'

const source = random(3, 'weights')

/** A tensor of normal numbers; positive ones for what is a variance or divides. */
function noise(dims: readonly number[], positive = false): Tensor {
  const data = Float32Array.from({ length: sizeOf(dims) }, () => source.normal() * 0.5)
  return tensorOf('float32', dims, positive ? data.map((value) => Math.abs(value) + 0.5) : data)
}

/** A model from `x` `[N, 3, 8, 8]` to `y`. */
function modelOf(
  body: (g: Builder, x: Value) => Value,
  shape: readonly number[] = [3, 8, 8],
): Model {
  const { model, g } = newModel('small')
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  g.output('y', body(g, x), { dtype: 'float32' })
  return model
}

const conv = (g: Builder, x: Operand, from: number, to: number, attributes = {}): Value =>
  g.Conv(x, noise([to, from, 3, 3]), noise([to]), { pads: [1, 1, 1, 1], ...attributes })

const norm = (g: Builder, x: Operand, size: number): Value =>
  g.BatchNormalization(x, noise([size]), noise([size]), noise([size]), noise([size], true))

/** A head that takes the channels of `[N, C, H, W]` and gives 5 numbers. */
const head = (g: Builder, x: Operand, size: number): Value =>
  g.Gemm(g.Flatten(g.GlobalAveragePool(x)), noise([size, 5]), noise([5]))

/** Graphs whose groups can be cut, with the number of channels of each group that can. */
const topologies: Readonly<Record<string, readonly [Model, readonly number[]]>> = {
  'Gemm, stored either way': [
    modelOf((g, x) => {
      const a = g.Relu(g.Gemm(g.Flatten(x), noise([20, 192]), noise([20]), { transB: 1 }))
      return g.Gemm(g.Tanh(g.Gemm(a, noise([20, 12]), noise([1, 12]))), noise([12, 5]))
    }),
    [20, 12],
  ],
  'MatMul with the weight on either side': [
    modelOf((g, x) => {
      const a = g.Relu(g.Add(g.MatMul(x, noise([8, 10])), noise([10])))
      const b = g.Relu(g.MatMul(noise([6, 8]), a))
      return g.ReduceMean(g.MatMul(b, noise([10, 5])), tensorOf('int64', [2], [1, 2]), {
        keepdims: 0,
      })
    }),
    [10, 6],
  ],
  'Flatten, pooling and norms': [
    modelOf((g, x) => {
      const a = g.MaxPool(g.Relu(norm(g, conv(g, x, 3, 6), 6)), {
        kernel_shape: [2, 2],
        strides: [2, 2],
      })
      const b = g.AveragePool(g.Relu(conv(g, a, 6, 10)), { kernel_shape: [2, 2] })
      return g.Gemm(g.Flatten(b), noise([90, 5]))
    }),
    [6, 10],
  ],
  'Reshape that flattens': [
    modelOf((g, x) => {
      const a = g.Reshape(g.Relu(conv(g, x, 3, 6)), [-1, 6 * 64])
      return g.MatMul(g.Relu(g.MatMul(a, noise([384, 7]))), noise([7, 5]))
    }),
    [6, 7],
  ],
  'Reshape whose 0 and -1 follow by themselves': [
    modelOf((g, x) => g.MatMul(g.Reshape(conv(g, x, 3, 6), [0, -1]), noise([384, 5]))),
    [6],
  ],
  'flattening with the channels last': [
    modelOf((g, x) => {
      const a = g.Transpose(g.Relu(conv(g, x, 3, 6)), { perm: [0, 2, 3, 1] })
      return g.MatMul(g.Reshape(a, [0, 384]), noise([384, 5]))
    }),
    [6],
  ],
  'a weight that is reshaped before it is used': [
    modelOf((g, x) => {
      const weight = g.Reshape(noise([6, 8, 8, 5]), [384, 5])
      return g.MatMul(g.Reshape(g.Relu(conv(g, x, 3, 6)), [0, 384]), weight)
    }),
    [6],
  ],
  'residuals with a projection': [
    modelOf((g, x) => {
      const a = g.Relu(norm(g, conv(g, x, 3, 6), 6))
      const b = g.Add(conv(g, g.Relu(conv(g, a, 6, 4)), 4, 6), a)
      const c = conv(g, g.Relu(conv(g, b, 6, 8, { strides: [2, 2] })), 8, 10)
      const d = g.Conv(b, noise([10, 6, 1, 1]), { strides: [2, 2] })
      return head(g, g.Relu(g.Sum(c, d)), 10)
    }),
    [6, 4, 8, 10],
  ],
  'depthwise separable, with a multiplier': [
    modelOf((g, x) => {
      const a = g.Relu(conv(g, x, 3, 6))
      const b = g.Clip(norm(g, conv(g, a, 1, 12, { group: 6 }), 12), 0, 6)
      return head(g, g.Conv(b, noise([8, 12, 1, 1])), 8)
    }),
    [6, 8],
  ],
  'convolution in groups': [
    modelOf((g, x) => head(g, conv(g, conv(g, x, 3, 8), 4, 12, { group: 2 }), 12)),
    [4, 6],
  ],
  'Concat, twice and with an input': [
    modelOf((g, x) => {
      const a = g.Relu(conv(g, x, 3, 4))
      const b = conv(g, g.Concat(x, a, { axis: 1 }), 7, 5)
      return head(g, norm(g, g.Concat(a, b, x, a, { axis: -3 }), 16), 16)
    }),
    [4, 5],
  ],
  'Concat before Flatten': [
    modelOf((g, x) => {
      const both = g.Concat(conv(g, x, 3, 4), conv(g, x, 3, 2), { axis: 1 })
      return g.MatMul(g.Flatten(both), noise([384, 5]))
    }),
    [4, 2],
  ],
  'a sum over parts that were joined': [
    modelOf((g, x) => {
      const both = g.Concat(conv(g, x, 3, 4), conv(g, x, 3, 2), { axis: 1 })
      return head(g, g.Add(both, conv(g, x, 3, 6)), 6)
    }),
    [4, 2],
  ],
  'squeeze and excitation': [
    modelOf((g, x) => {
      const a = conv(g, x, 3, 8)
      const squeezed = g.Relu(g.Conv(g.GlobalAveragePool(a), noise([4, 8, 1, 1])))
      return head(g, g.Mul(a, g.HardSigmoid(g.Conv(squeezed, noise([8, 4, 1, 1])))), 8)
    }),
    [8, 4],
  ],
  'constants of every shape that broadcasts': [
    modelOf((g, x) => {
      const a = g.Add(g.Mul(conv(g, x, 3, 6), noise([6, 1, 1])), noise([1, 6, 1, 1]))
      const b = g.Div(g.Sub(g.PRelu(a, noise([6, 1, 1])), 0.5), noise([1, 6, 8, 8], true))
      return head(g, g.Mul(b, g.Sigmoid(b)), 6)
    }),
    [6],
  ],
  'norms that share their vectors': [
    modelOf((g, x) => {
      const [ones, zeros] = [g.constant(noise([6], true)), g.constant(noise([6]))]
      const shared = (y: Value) => g.Relu(g.BatchNormalization(y, ones, zeros, zeros, ones))
      return head(g, shared(conv(g, shared(conv(g, x, 3, 6)), 6, 6)), 6)
    }),
    [6, 6],
  ],
  'a weight that two layers share': [
    modelOf((g, x) => {
      const shared = g.constant(noise([6, 6, 3, 3]))
      const same = (y: Value) => g.Conv(y, shared, { pads: [1, 1, 1, 1] })
      return head(g, same(g.Relu(same(conv(g, x, 3, 6)))), 6)
    }),
    [6],
  ],
  'reductions, squeezing and padding': [
    modelOf((g, x) => {
      const a = g.Pad(conv(g, x, 3, 6), [0, 0, 1, 1, 0, 0, 1, 1])
      const b = g.ReduceMean(g.Dropout(a), tensorOf('int64', [1], [-1]), { keepdims: 0 })
      const c = g.ReduceMean(g.Unsqueeze(b, [3]), tensorOf('int64', [1], [2]), { keepdims: 1 })
      return g.MatMul(g.Squeeze(g.Identity(c), [2, 3]), noise([6, 5]))
    }),
    [6],
  ],
  'upsampling by a transposed convolution': [
    modelOf((g, x) => {
      const a = g.ConvTranspose(g.Relu(conv(g, x, 3, 6)), noise([6, 4, 2, 2]), noise([4]), {
        strides: [2, 2],
      })
      return head(g, g.Slice(a, [1], [9], [2]), 4)
    }),
    [6, 4],
  ],
  'attention, by heads': [
    modelOf((g, x) => {
      const rows = g.Reshape(x, [0, 24, 8])
      const split = () =>
        g.Transpose(g.Reshape(g.MatMul(rows, noise([8, 12])), [0, 24, 3, 4]), {
          perm: [0, 2, 1, 3],
        })
      const [q, k, v] = [split(), split(), split()]
      const scores = g.Softmax(g.MatMul(q, g.Transpose(k, { perm: [0, 1, 3, 2] })), { axis: -1 })
      const mixed = g.Reshape(g.Transpose(g.MatMul(scores, v), { perm: [0, 2, 1, 3] }), [0, 24, 12])
      return g.MatMul(mixed, noise([12, 5]))
    }),
    [3],
  ],
}

const shape = { ...oneInput([3, 16, 16], 5), seed: 1 }
const architectures: Readonly<Record<string, Model>> = Object.fromEntries(
  (
    [
      { architecture: 'mlp', hidden: [16, 12], normalisation: true, dropout: 0.1 },
      { architecture: 'lenet-300-100', width: 0.1 },
      { architecture: 'lenet' },
      { architecture: 'lenet-5', activation: 'relu', pool: 'max' },
      { architecture: 'resnet', depth: 8, width: 8 },
      { architecture: 'wide-resnet', depth: 10, widen: 0.5 },
      { architecture: 'vgg', width: 0.1 },
      { architecture: 'mobilenet' },
      { architecture: 'mobilenet-v1', width: 0.1 },
      { architecture: 'mobilenet-v2', width: 0.1 },
      { architecture: 'mobilenet-v3-small', width: 0.1 },
      { architecture: 'ds-cnn', channels: 8 },
    ] satisfies readonly ArchitectureInput[]
  ).map((options) => [options.architecture, buildArchitecture(options, shape)]),
)

/** Graphs whose one group of 6 channels cannot be cut, and why. */
const obstacles: Readonly<Record<string, readonly [Model, string]>> = {
  'the model gives the channels': [
    modelOf((g, x) => conv(g, x, 3, 6)),
    "output 'y' of the model keeps its shape",
  ],
  'an input is added to them': [
    modelOf((g, x) => head(g, g.Add(conv(g, x, 6, 6), x), 6), [6, 8, 8]),
    "input 'x' of the model keeps its shape",
  ],
  'Softmax compares them': [
    modelOf((g, x) => head(g, g.Softmax(conv(g, x, 3, 6), { axis: 1 }), 6)),
    "Softmax 'Softmax' mixes the channels",
  ],
  'the largest of them is taken': [
    modelOf((g, x) => g.Flatten(g.ReduceMax(conv(g, x, 3, 6), [1]))),
    "ReduceMax 'ReduceMax' mixes the channels",
  ],
  'a Reshape mixes them': [
    modelOf((g, x) => g.MatMul(g.Reshape(conv(g, x, 3, 6), [0, 4, 96]), noise([96, 5]))),
    "Reshape 'Reshape' mixes the channels",
  ],
  'the shape of a Reshape is computed from data': [
    modelOf((g, x) => {
      const a = conv(g, x, 3, 6)
      const zero = g.Cast(g.Floor(g.Sigmoid(g.ReduceMean(x, { keepdims: 0 }))), { to: 7 })
      const shape = g.Add(g.Unsqueeze(zero, [0]), tensorOf('int64', [2], [1, 384]))
      return g.MatMul(g.Reshape(a, shape), noise([384, 5]))
    }),
    "Reshape 'Reshape' computes its shape from data",
  ],
  'an operator is not known': [
    modelOf((g, x) => {
      const updates = tensorOf('float32', [1, 8], new Float32Array(8))
      const at = tensorOf('int64', [1, 3], [0, 1, 2])
      return head(g, g.ScatterND(conv(g, x, 3, 6), at, updates), 6)
    }),
    "ScatterND 'ScatterND' has no channel rule",
  ],
  'an operator has an output that no rule knows': [
    modelOf((g, x) => {
      const pool = g.node('MaxPool', [conv(g, x, 3, 6)], {
        outputs: 2,
        attributes: { kernel_shape: [2, 2] },
      })
      return g.Add(head(g, pool[0]!, 6), g.ReduceMean(g.Cast(pool[1]!, { to: 1 }), { keepdims: 0 }))
    }),
    "MaxPool 'MaxPool' has an output without a channel rule: 'MaxPool_output1'",
  ],
  'their weights are quantized': [
    modelOf((g, x) => {
      const bytes = tensorOf('int8', [6, 3, 3, 3], new Int8Array(162).fill(3))
      return head(g, g.Conv(x, g.DequantizeLinear(bytes, 0.1)), 6)
    }),
    "DequantizeLinear 'DequantizeLinear' belongs to a quantized model: prune before quantization",
  ],
}

const prunable = (groups: readonly Group[]) => groups.filter((group) => group.prunable === true)

describe('channel groups', () => {
  it.each(Object.entries(topologies))('follow %s', async (_, [model, counts]) => {
    for (const seed of [1, 2]) {
      const { groups } = await expectSameAsZeroed(model, seed)
      expect(prunable(groups).map((group) => group.channels)).toEqual(counts)
    }
  })

  it.each(Object.entries(architectures))('follow the architecture %s', async (_, model) => {
    for (const seed of [1, 2, 3]) {
      const { groups } = await expectSameAsZeroed(model, seed)
      // Everything but the classifier can be cut.
      expect(groups.filter((group) => group.prunable !== true)).toHaveLength(1)
    }
  })

  it.each(Object.entries(obstacles))('stay whole where %s', async (_, [model, reason]) => {
    const groups = channelGroups(await prepareChannels(model))
    const { channels, prunable } = groups.find((group) => group.channels === 6)!
    expect([channels, prunable]).toEqual([6, reason])
  })

  it('name the layers that make and take their channels', async () => {
    const model = modelOf((g, x) => head(g, g.Relu(norm(g, conv(g, x, 3, 6), 6)), 6))
    const [group] = channelGroups(await prepareChannels(model))
    const parts = group!.parts.filter(({ place }) => place.role)
    expect(group!.name).toBe('Conv')
    expect(
      parts.map(({ place, indices }) => [
        place.node!.opType,
        place.role,
        place.axis,
        ...indices[1]!,
      ]),
    ).toEqual(
      expect.arrayContaining([
        ['Conv', 'out', 0, 1],
        ['Conv', 'bias', 0, 1],
        ['BatchNormalization', 'scale', 0, 1],
        ['BatchNormalization', 'bias', 0, 1],
        ['Gemm', 'in', 0, 1],
      ]),
    )
  })

  it('keep the free batch of the model', async () => {
    const [model] = topologies['Reshape that flattens']!
    const smaller = await prepareChannels(model)
    cutChannels(smaller, randomCuts(channelGroups(smaller), 0.5, random(1)))
    restoreInterface(smaller, model)
    expect(smaller.graph.inputs[0]!.type?.shape).toEqual(['N', 3, 8, 8])
    const x = noise([4, 3, 8, 8])
    const [four] = await outputsOf(smaller, { x })
    expect(four).toHaveLength(20)
  })

  it('cut without touching the model that they were made of', async () => {
    const [model] = topologies['residuals with a projection']!
    const before = printGraph(model.graph)
    await expectSameAsZeroed(model, 1)
    expect(printGraph(model.graph)).toBe(before)
  })

  it('refuse to lose all their channels, or any that must stay', async () => {
    const prepared = await prepareChannels(modelOf((g, x) => head(g, conv(g, x, 3, 6), 6)))
    const [free, fixed] = channelGroups(prepared)
    expect(() => cutChannels(prepared, new Map([[free!, [0, 1, 2, 3, 4, 5]]]))).toThrow(
      "internal: all channels of group 'Conv' are cut",
    )
    expect(() => cutChannels(prepared, new Map([[fixed!, [0]]]))).toThrow(
      "internal: group 'Gemm' cannot be cut: output 'y' of the model keeps its shape",
    )
  })
})
