import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { layersOf } from '../../onnx/layers.ts'
import { loadModel } from '../../onnx/load.ts'
import { countMacs } from '../../onnx/multiplications.ts'
import { countParameters } from '../../onnx/parameters.ts'
import { type ArrayType, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

/** A model of `x` with these dims and type; `y` is what the body gives. */
function modelOf(
  dims: readonly number[],
  body: (g: Builder, x: Value) => Value | undefined,
  dtype: ArrayType = 'float32',
): Model {
  const { model, g } = newModel('small')
  const y = body(g, g.input('x', { dtype, shape: dims }))
  if (!y) throw new Error('internal: no output')
  g.output('y', y, { dtype: 'float32' })
  return model
}

const filled = (dtype: ArrayType, dims: readonly number[], value = 1): Tensor =>
  tensorOf(dtype, dims, Array<number>(sizeOf(dims)).fill(value))
const ones = (...dims: number[]): Tensor => filled('float32', dims)

const zero = filled('uint8', [], 0)
const quantized = (g: Builder, opType: string, inputs: readonly (Value | Tensor | number)[]) =>
  g.node(opType, inputs)[0]

/** A graph, its multiply-accumulates and its parameters. */
const costs: Readonly<Record<string, readonly [Model, number, number]>> = {
  Conv: [
    modelOf([1, 3, 8, 8], (g, x) => g.Conv(x, ones(4, 3, 3, 3), ones(4), { strides: [2, 2] })),
    4 * 3 * 3 * 27,
    4 * 27 + 4,
  ],
  'depthwise Conv': [
    modelOf([2, 6, 8, 8], (g, x) => g.Conv(x, ones(6, 1, 3, 3), { group: 6 })),
    2 * 6 * 6 * 6 * 9,
    54,
  ],
  ConvTranspose: [
    modelOf([1, 3, 8, 8], (g, x) => g.ConvTranspose(x, ones(3, 4, 2, 2), { strides: [2, 2] })),
    3 * 64 * 4 * 4,
    48,
  ],
  'Gemm, transposed': [
    modelOf([7, 5], (g, x) => g.Gemm(x, ones(3, 7), ones(3), { transA: 1, transB: 1 })),
    5 * 3 * 7,
    24,
  ],
  'MatMul in batches': [modelOf([2, 4, 5], (g, x) => g.MatMul(x, ones(5, 3))), 2 * 4 * 3 * 5, 15],
  'MatMul of two activations': [
    modelOf([2, 4, 5], (g, x) => g.MatMul(x, g.Transpose(x, { perm: [0, 2, 1] }))),
    2 * 4 * 4 * 5,
    0,
  ],
  LSTM: [
    modelOf([6, 1, 5], (g, x) => {
      const inputs = [x, ones(1, 16, 5), ones(1, 16, 4)]
      return g.node('LSTM', inputs, { attributes: { hidden_size: 4 } })[0]
    }),
    6 * (16 * 5 + 16 * 4),
    16 * 9,
  ],
  DynamicQuantizeLSTM: [
    modelOf([6, 1, 5], (g, x) => {
      const none = undefined
      const weights = [filled('int8', [1, 5, 16]), filled('int8', [1, 4, 16])]
      const scales = [ones(1), filled('int8', [1], 0), ones(1), filled('int8', [1], 0)]
      const inputs = [x, ...weights, none, none, none, none, none, ...scales]
      return g.node('DynamicQuantizeLSTM', inputs, {
        domain: 'com.microsoft',
        attributes: { hidden_size: 4 },
      })[0]
    }),
    6 * (16 * 5 + 16 * 4),
    16 * 9,
  ],
  Einsum: [
    modelOf([2, 4, 5], (g, x) => g.Einsum(x, ones(5, 3), { equation: '...j,jk->...k' })),
    2 * 4 * 3 * 5,
    15,
  ],
  'Einsum of one operand': [
    modelOf([2, 4, 4], (g, x) => g.Einsum(x, { equation: 'bii->bi' })),
    0,
    0,
  ],
  'attention, packed with keys and values': [
    modelOf(
      [2, 3, 2, 3, 4],
      (g, x) =>
        g.node('MultiHeadAttention', [x], {
          domain: 'com.microsoft',
          attributes: { num_heads: 2 },
        })[0],
    ),
    2 * (2 * 2 * 3 * 3 * 4),
    0,
  ],
  'attention whose heads share keys and values': [
    modelOf([1, 3, 16], (g, x) => {
      const keys = g.MatMul(x, ones(16, 8))
      const inputs = [
        x,
        keys,
        keys,
        undefined,
        undefined,
        filled('int32', [1], 2),
        filled('int32', [1], 3),
      ]
      const attributes = { num_heads: 2, kv_num_heads: 1 }
      return g.node('GroupQueryAttention', inputs, {
        domain: 'com.microsoft',
        attributes,
        outputs: 3,
      })[0]
    }),
    3 * 16 * 8 + 2 * (2 * 3 * 3 * 8),
    128,
  ],
  'QDQ, weights quantized': [
    modelOf([1, 3, 8, 8], (g, x) =>
      g.Conv(x, g.DequantizeLinear(filled('int8', [4, 3, 3, 3]), 0.1, filled('int8', [], 0))),
    ),
    4 * 36 * 27,
    4 * 27,
  ],
  ConvInteger: [
    modelOf(
      [1, 3, 8, 8],
      (g, x) => {
        const products = quantized(g, 'ConvInteger', [x, filled('int8', [4, 3, 3, 3])])
        return products && g.Cast(products, { to: 1 })
      },
      'uint8',
    ),
    4 * 36 * 27,
    4 * 27,
  ],
  QLinearConv: [
    modelOf(
      [1, 3, 8, 8],
      (g, x) => {
        const weight = filled('uint8', [4, 3, 3, 3])
        const bias = filled('int32', [4])
        const y = quantized(g, 'QLinearConv', [x, 0.1, zero, weight, 0.1, zero, 0.1, zero, bias])
        return y && g.DequantizeLinear(y, 0.1)
      },
      'uint8',
    ),
    4 * 36 * 27,
    4 * 27 + 4,
  ],
  'norms and settings': [
    modelOf([1, 3, 8, 8], (g, x) =>
      g.Clip(g.BatchNormalization(x, ones(3), ones(3), ones(3), ones(3)), 0, 6),
    ),
    0,
    // Scale and bias; the statistics are measured.
    6,
  ],
}

describe('the cost of a model', () => {
  it.each(Object.entries(costs))('is right for %s', async (_, [model, macs, parameters]) => {
    const annotated = cloneModel(model)
    await inferShapes(annotated)
    expect(countMacs(annotated)).toBe(macs)
    expect(countParameters(model)).toEqual({ parameters, nonzero: parameters })
  })

  it('counts a quantized weight as zero where it equals its zero point', () => {
    const weight = tensorOf('uint8', [2, 3], [7, 1, 7, 9, 2, 9])
    const scale = tensorOf('float32', [2], [1, 1])
    const points = tensorOf('uint8', [2], [7, 9])
    const model = modelOf([1, 2], (g, x) =>
      g.MatMul(x, g.DequantizeLinear(weight, scale, points, { axis: 0 })),
    )
    expect(countParameters(model)).toEqual({ parameters: 6, nonzero: 2 })
  })

  it('counts a constant once that several nodes use', () => {
    const model = modelOf([4, 4], (g, x) => {
      const weight = g.constant(tensorOf('float32', [2, 2], [1, 0, -0, 2]))
      return g.MatMul(g.Slice(g.MatMul(g.Slice(x, [0], [2], [1]), weight), [0], [2], [1]), weight)
    })
    expect(countParameters(model)).toEqual({ parameters: 4, nonzero: 2 })
  })

  it('is not known where a shape is not', () => {
    const model = modelOf([1, 3, 8, 8], (g, x) => g.Conv(x, ones(4, 3, 3, 3)))
    expect(countMacs(model)).toBeUndefined()
  })

  itWithShared.each([
    // He et al. (2016): 0.27 million parameters, 41 million multiply-adds.
    ['conv-distiller-resnet20-dense-cifar10', 40_813_184, 272_474],
    ['conv-tiny-resnet8-cifar10', 12_501_632, 78_186],
    ['shufflenet-v2-12-int8', 144_907_992, 2_269_514],
  ])('is right for %s', async (name, macs, parameters) => {
    const model = await loadModel(sharedModel(`${name}.onnx`))
    expect(countParameters(model).parameters).toBe(parameters)
    await inferShapes(model, { batch: 1 })
    expect(countMacs(model)).toBe(macs)
  })
})

describe('the layers of a graph', () => {
  it('are the nodes that multiply with a constant of two axes or more', () => {
    const model = modelOf([1, 3, 8, 8], (g, x) => {
      const a = g.Add(g.Conv(x, ones(4, 3, 3, 3), ones(4)), ones(4, 1, 1))
      return g.MatMul(g.Flatten(g.Mul(a, a)), ones(144, 5))
    })
    expect(layersOf(model.graph).map(({ name, opType, input }) => [name, opType, input])).toEqual([
      ['Conv', 'Conv', 1],
      ['MatMul', 'MatMul', 1],
    ])
  })
})
