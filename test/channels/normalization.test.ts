import { describe, it } from '@jest/globals'
import type { Builder, Operand } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { expectRow, kept, modelOf, noise, type Row } from './small.ts'

const conv = (g: Builder, x: Operand, from: number, to: number): Value =>
  g.Conv(x, noise([to, from, 3, 3]), noise([to]), { pads: [1, 1, 1, 1] })

/** A head that takes the channels of `[N, C, H, W]`; the places differ, or a norm would leave nothing. */
const head = (g: Builder, x: Operand, size: number): Value =>
  g.Gemm(g.Flatten(x), noise([size * 64, 5]))

const dense = (g: Builder, x: Operand, from: number, to: number): Value =>
  g.Add(g.MatMul(x, noise([from, to])), noise([to]))

const microsoft = (g: Builder, opType: string, inputs: readonly Operand[], outputs = 1) =>
  g.node(opType, inputs, { domain: 'com.microsoft', outputs, attributes: { epsilon: 1e-3 } })

const rows: Readonly<Record<string, Row>> = {
  'LayerNormalization over the channels': [
    modelOf((g, x) => {
      const a = g.LayerNormalization(dense(g, x, 8, 10), noise([10]), noise([10]), {
        epsilon: 1e-3,
      })
      return dense(g, a, 10, 5)
    }),
    [10, kept],
  ],
  'LayerNormalization over channels and places, statistics given out': [
    modelOf((g, x) => {
      const [a, mean, inverse] = g.node(
        'LayerNormalization',
        [conv(g, x, 3, 6), noise([6, 8, 8]), noise([6, 8, 8])],
        { outputs: 3, attributes: { axis: 1 } },
      )
      return g.Add(head(g, a!, 6), g.Flatten(g.Add(mean, inverse)))
    }),
    [6, kept],
  ],
  'LayerNormalization with residuals around it': [
    modelOf((g, x) => {
      const a = dense(g, x, 8, 10)
      const b = g.LayerNormalization(a, noise([10]))
      const c = g.Add(a, dense(g, g.Relu(dense(g, b, 10, 12)), 12, 10))
      return dense(g, g.LayerNormalization(c, noise([10]), noise([10])), 10, 5)
    }),
    [10, 12, kept],
  ],
  RMSNormalization: [
    modelOf(
      (g, x) => {
        const [a] = g.node('RMSNormalization', [dense(g, x, 8, 10), noise([10])])
        return dense(g, a!, 10, 5)
      },
      [3, 8, 8],
      23,
    ),
    [10, kept],
  ],
  SimplifiedLayerNormalization: [
    modelOf((g, x) => {
      const attributes = { epsilon: 1e-3 }
      const a = g.node('SimplifiedLayerNormalization', [dense(g, x, 8, 10), noise([10])], {
        attributes,
      })
      return dense(g, a[0]!, 10, 5)
    }),
    [10, kept],
  ],
  'SkipLayerNormalization with its sum': [
    modelOf(
      (g, x) => {
        const [a, b] = [dense(g, x, 8, 10), dense(g, x, 8, 10)]
        const vectors = [noise([10]), noise([10]), noise([10])]
        const [y, , , sum] = microsoft(g, 'SkipLayerNormalization', [a, b, ...vectors], 4)
        return g.Add(dense(g, y!, 10, 5), dense(g, sum!, 10, 5))
      },
      [4, 8],
    ),
    [10, kept],
  ],
  'SkipSimplifiedLayerNormalization without a bias': [
    modelOf(
      (g, x) => {
        const [a, b] = [dense(g, x, 8, 10), dense(g, x, 8, 10)]
        const [y] = microsoft(g, 'SkipSimplifiedLayerNormalization', [a, b, noise([10])])
        return dense(g, y!, 10, 5)
      },
      [4, 8],
    ),
    [10, kept],
  ],
  EmbedLayerNormalization: [
    modelOf(
      (g, x) => {
        const ids = g.Cast(g.Clip(g.Mul(x, 3), 0, 6), { to: 6 })
        const tables = [noise([7, 10]), noise([9, 10]), noise([7, 10])]
        const vectors = [noise([10]), noise([10])]
        const inputs = [ids, ids, ...tables, ...vectors]
        const [y] = microsoft(g, 'EmbedLayerNormalization', inputs, 2)
        return dense(g, y!, 10, 5)
      },
      [6],
    ),
    [10, kept],
  ],
  'GroupNormalization of many small groups': [
    modelOf((g, x) => {
      const a = g.node('GroupNormalization', [conv(g, x, 3, 12), noise([12]), noise([12])], {
        attributes: { num_groups: 6 },
      })
      return head(g, a[0]!, 12)
    }),
    [6, kept],
  ],
  'GroupNormalization of few large groups': [
    modelOf((g, x) => {
      const a = g.node('GroupNormalization', [conv(g, x, 3, 12), noise([12]), noise([12])], {
        attributes: { num_groups: 2 },
      })
      return head(g, a[0]!, 12)
    }),
    [6, kept],
  ],
  'GroupNormalization with a scale for each group': [
    modelOf(
      (g, x) => {
        const a = g.node('GroupNormalization', [conv(g, x, 3, 12), noise([3]), noise([3])], {
          attributes: { num_groups: 3 },
        })
        return head(g, a[0]!, 12)
      },
      [3, 8, 8],
      18,
    ),
    [3, kept],
  ],
  'GroupNormalization as InstanceNormalization between two Reshapes': [
    modelOf((g, x) => {
      const a = g.Reshape(conv(g, x, 3, 12), [0, 4, -1])
      const b = g.node('InstanceNormalization', [a, noise([4]), noise([4])])
      const c = g.Mul(g.Reshape(b[0]!, [-1, 12, 8, 8]), noise([12, 1, 1]))
      return head(g, c, 12)
    }),
    [4, kept],
  ],
  InstanceNormalization: [
    modelOf((g, x) =>
      head(g, g.node('InstanceNormalization', [conv(g, x, 3, 6), noise([6]), noise([6])])[0]!, 6),
    ),
    [6, kept],
  ],
  'LpNormalization over the channels, twice': [
    modelOf((g, x) => {
      const attributes = { axis: 1, p: 1 }
      const [a] = g.node('LpNormalization', [conv(g, x, 3, 6)], { attributes })
      const [b] = g.node('LpNormalization', [conv(g, a!, 6, 4)], { attributes: { axis: 1, p: 2 } })
      return head(g, b!, 4)
    }),
    [6, 4, kept],
  ],
  'MeanVarianceNormalization, over channels too': [
    modelOf((g, x) => {
      const [a] = g.node('MeanVarianceNormalization', [conv(g, x, 3, 6)])
      const attributes = { axes: [1, 2, 3] }
      const [b] = g.node('MeanVarianceNormalization', [conv(g, a!, 6, 4)], { attributes })
      return head(g, b!, 4)
    }),
    [6, 4, kept],
  ],
  'LayerNormalization written out': [
    modelOf((g, x) => {
      const a = dense(g, x, 8, 10)
      const mean = (y: Value) => g.ReduceMean(y, [-1], { keepdims: 1 })
      const d = g.Sub(a, mean(a))
      const deviation = g.Sqrt(g.Add(mean(g.Pow(d, 2)), 1e-3))
      const y = g.Add(g.Mul(g.Div(d, deviation), noise([10])), noise([10]))
      return dense(g, y, 10, 5)
    }),
    [10, kept],
  ],
  'the root mean square written out': [
    modelOf((g, x) => {
      const a = dense(g, x, 8, 10)
      const squares = g.ReduceMean(g.Mul(a, a), [-1], { keepdims: 1 })
      const y = g.Mul(a, g.Reciprocal(g.Sqrt(g.Add(squares, 1e-3))))
      return dense(g, g.Mul(y, noise([10])), 10, 5)
    }),
    [10, kept],
  ],
  'LRN, which mixes them': [
    modelOf((g, x) =>
      head(g, g.node('LRN', [conv(g, x, 3, 6)], { attributes: { size: 3 } })[0]!, 6),
    ),
    ["LRN 'LRN' mixes the channels", kept],
  ],
}

const activations = ['Gelu', 'FastGelu', 'QuickGelu', 'BiasGelu', 'FastGelu with a bias']

describe('norms', () => {
  it.each(Object.entries(rows))('follow %s', (_, row) => expectRow(row))
})

describe("com.microsoft's forms", () => {
  it.each(activations)('follow %s', (name) => {
    const [opType = '', rest] = name.split(' ')
    const biased = opType === 'BiasGelu' || rest !== undefined
    const model = modelOf((g, x) => {
      const inputs = [g.MatMul(x, noise([8, 10])), ...(biased ? [noise([10])] : [])]
      const [y] = g.node(opType, inputs, { domain: 'com.microsoft' })
      return dense(g, y!, 10, 5)
    })
    return expectRow([model, [10, kept]])
  })

  it('follow FusedMatMul, FusedConv and FusedGemm', () => {
    const fused = (
      g: Builder,
      opType: string,
      inputs: readonly Operand[],
      attributes: Record<string, number | string | readonly number[]>,
    ) => g.node(opType, inputs, { domain: 'com.microsoft', attributes })[0]!
    const model = modelOf((g, x) => {
      const activation = { activation: 'Relu' }
      const a = fused(g, 'FusedConv', [x, noise([6, 3, 1, 1]), noise([6])], activation)
      const b = fused(g, 'FusedMatMul', [a, noise([7, 8])], { transB: 1 })
      const c = fused(g, 'FusedMatMul', [b, noise([7, 9])], {})
      const d = fused(g, 'FusedGemm', [g.ReduceSum(c, [1, 2], { keepdims: 0 }), noise([9, 4])], {
        ...activation,
      })
      return g.Gemm(d, tensorOf('float32', [4, 2], [1, 2, 3, 4, 5, 6, 7, 8]))
    })
    return expectRow([model, [6, 7, 9, 4, kept]])
  })
})
