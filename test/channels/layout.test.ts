import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { cutChannels } from '../../channels/cut.ts'
import { channelGroups } from '../../channels/groups.ts'
import { prepareChannels, restoreInterface } from '../../channels/prepare.ts'
import { type Builder, newModel, type Operand } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { outputsOf, randomCuts, zeroed } from './masking.ts'
import { expectRow, kept, modelOf, noise, type Row } from './small.ts'

const conv = (g: Builder, x: Operand, from: number, to: number, attributes = {}): Value =>
  g.Conv(x, noise([to, from, 3, 3]), noise([to]), { pads: [1, 1, 1, 1], ...attributes })

const dense = (g: Builder, x: Operand, from: number, to: number): Value =>
  g.Add(g.MatMul(x, noise([from, to])), noise([to]))

/** A head that takes the channels of `[N, C, H, W]` and gives 5 numbers. */
const head = (g: Builder, x: Operand, size: number): Value =>
  g.Gemm(g.Flatten(g.GlobalAveragePool(x)), noise([size, 5]), noise([5]))

const parts = (
  g: Builder,
  x: Operand,
  inputs: readonly Operand[],
  count: number,
  attributes = {},
) => g.node('Split', [x, ...inputs], { outputs: count, attributes: { axis: 1, ...attributes } })

const int64 = (values: readonly number[]) => tensorOf('int64', [values.length], values)

/** Groups, in the order of the graph, of models whose channels are laid out anew. */
const rows: Readonly<Record<string, Row>> = {
  'Split into equal parts': [
    modelOf((g, x) => {
      const [a, b] = parts(g, conv(g, x, 3, 8), [], 2, { num_outputs: 2 })
      return head(g, g.Concat(g.Relu(a), g.Sigmoid(b), x, { axis: 1 }), 11)
    }),
    [4, 4, kept],
  ],
  'Split into parts that are added': [
    modelOf((g, x) => {
      const [a, b] = parts(g, conv(g, x, 3, 8), [[4, 4]], 2)
      return head(g, g.Mul(a, g.Sigmoid(b)), 4)
    }),
    [4, kept],
  ],
  'Split into unequal parts, of which one is not used': [
    modelOf((g, x) => {
      const [a, , c] = parts(g, conv(g, x, 3, 9), [[4, 2, 3]], 3)
      return g.Add(head(g, a, 4), head(g, c, 3))
    }),
    [4, 2, 3, kept],
  ],
  'Split whose sizes are an attribute': [
    modelOf(
      (g, x) => {
        const [a, b] = parts(g, conv(g, x, 3, 8), [], 2, { split: [3, 5] })
        return g.Add(head(g, a, 3), head(g, b, 5))
      },
      [3, 8, 8],
      11,
    ),
    [3, 5, kept],
  ],
  'Slice along the channels': [
    modelOf((g, x) => {
      const a = conv(g, x, 3, 10)
      const [b, c] = [g.Slice(a, [0], [6], [1]), g.Slice(a, [-4], [2 ** 63], [-3])]
      return g.Add(head(g, b, 6), head(g, g.Relu(c), 4))
    }),
    [6, 4, kept],
  ],
  'Slice whose bounds are attributes': [
    modelOf(
      (g, x) => {
        const a = conv(g, x, 3, 10)
        const b = g.Slice(a, { starts: [2, 1], ends: [9, 9], axes: [1, 2] })
        return head(g, b, 7)
      },
      [3, 8, 8],
      9,
    ),
    [3, 7, kept],
  ],
  'Slice of every second channel, and backwards': [
    modelOf((g, x) => {
      const a = conv(g, x, 3, 12)
      const even = g.Slice(a, [0], [12], [1], [2])
      const odd = g.Slice(a, [-1], [-(2 ** 62)], [1], [-2])
      return g.Add(head(g, g.Relu(even), 6), head(g, g.Relu(odd), 6))
    }),
    [6, 6, kept],
  ],
  'Gather by constant indices': [
    modelOf((g, x) => {
      const a = g.Gather(conv(g, x, 3, 6), [5, 0, -2, 0], { axis: 1 })
      return head(g, a, 4)
    }),
    ['it is a single channel', 3, 2, kept],
  ],
  'GatherElements by indices that are the same everywhere': [
    modelOf((g, x) => {
      const a = dense(g, g.GlobalAveragePool(x), 1, 6)
      const indices = tensorOf(
        'int64',
        [1, 3, 1, 4],
        Array.from({ length: 12 }, (_, i) => [4, 1, 0, 3][i % 4]!),
      )
      return g.MatMul(g.GatherElements(a, indices, { axis: 3 }), noise([4, 5]))
    }),
    [4, 2, kept],
  ],
  'an embedding': [
    modelOf((g, x) => {
      const ids = g.Cast(g.Greater(g.ReduceMean(x, [1, 2], { keepdims: 0 }), 0), { to: 7 })
      const a = g.Add(g.Gather(noise([2, 6]), ids), noise([8, 6]))
      return g.MatMul(a, noise([6, 5]))
    }),
    [6, kept],
  ],
  'Expand and Tile': [
    modelOf((g, x) => {
      const a = g.Expand(g.GlobalAveragePool(conv(g, x, 3, 6)), [1, 6, 4, 2])
      return g.MatMul(g.Flatten(g.node('Tile', [a, [1, 2, 1, 1]])[0]), noise([96, 5]))
    }),
    [6, kept],
  ],
  'constants of one number': [
    modelOf((g, x) => {
      const ones = g.Expand(noise([1]), [6, 1, 1])
      const [zeros] = g.node('ConstantOfShape', [[1, 6, 8, 8]])
      return head(g, g.Max(g.Mul(conv(g, x, 3, 6), ones), zeros), 6)
    }),
    [6, kept],
  ],
  'Resize by scales and by sizes': [
    modelOf((g, x) => {
      const scales = tensorOf('float32', [4], [1, 1, 2, 2])
      const a = g.Resize(conv(g, x, 3, 6), undefined, scales)
      const b = g.Resize(a, undefined, undefined, [1, 6, 5, 7], { mode: 'linear' })
      return head(g, b, 6)
    }),
    [6, kept],
  ],
  'Resize of the axes that it names': [
    modelOf((g, x) => {
      const a = g.Resize(conv(g, x, 3, 6), undefined, undefined, [5, 7], { axes: [2, 3] })
      return head(g, a, 6)
    }),
    [6, kept],
  ],
  Upsample: [
    modelOf(
      (g, x) => {
        const scales = tensorOf('float32', [4], [1, 1, 2, 2])
        return head(g, g.node('Upsample', [conv(g, x, 3, 6), scales])[0], 6)
      },
      [3, 8, 8],
      9,
    ),
    [6, kept],
  ],
  'DepthToSpace, either way, and SpaceToDepth': [
    modelOf((g, x) => {
      const a = g.DepthToSpace(conv(g, x, 3, 12), { blocksize: 2 })
      const b = g.DepthToSpace(conv(g, a, 3, 8), { blocksize: 2, mode: 'CRD' })
      return head(g, g.SpaceToDepth(g.Relu(b), { blocksize: 4 }), 32)
    }),
    [3, 2, kept],
  ],
  'Pad of the channels (a shortcut of ResNet)': [
    modelOf((g, x) => {
      const a = conv(g, x, 3, 4)
      const wide = g.Pad(a, [0, 1, 0, 0, 0, 2, 0, 0])
      return head(g, g.Relu(g.Add(wide, conv(g, a, 4, 7))), 7)
    }),
    [4, 3, kept],
  ],
  'sums over the channels': [
    modelOf((g, x) => {
      const a = conv(g, x, 3, 6)
      const sums = [
        g.ReduceSum(a, [1]),
        g.ReduceL1(a, [1]),
        g.ReduceL2(a, [1]),
        g.node('ReduceSumSquare', [a, [1]])[0],
      ]
      return g.Flatten(g.Concat(...sums, { axis: 1 }))
    }),
    [6],
  ],
  'a mean over the channels': [
    modelOf((g, x) => {
      const a = conv(g, x, 3, 6)
      return g.Concat(head(g, a, 6), g.Flatten(g.ReduceMean(g.Relu(a), [1, 2])), { axis: 1 })
    }),
    [6, kept],
  ],
  'sums along other axes, positions and the largest': [
    modelOf((g, x) => {
      const a = g.CumSum(conv(g, x, 3, 6), tensorOf('int64', [], [2]))
      const [top, where] = g.node('TopK', [a, [2]], { outputs: 2 })
      const [most] = g.node('ArgMax', [a], { attributes: { axis: 3 } })
      const all = [top!, g.Cast(where, { to: 1 }), g.Cast(most, { to: 1 })]
      return head(g, g.Concat(...all, { axis: 3 }), 6)
    }),
    [6, kept],
  ],
  'a channel shuffle': [
    modelOf((g, x) => {
      const a = conv(g, x, 3, 12)
      const b = g.Transpose(g.Reshape(a, [0, 3, 4, 8, 8]), { perm: [0, 2, 1, 3, 4] })
      return g.Gemm(g.Flatten(g.Relu(g.Reshape(b, [0, 12, 8, 8]))), noise([768, 5]))
    }),
    [12, kept],
  ],
  'a shuffle between a residual block in two halves': [
    modelOf((g, x) => {
      const shuffle = (y: Value) => {
        const split = g.Reshape(y, [-1, 2, 4, 64])
        return g.Reshape(g.Transpose(split, { perm: [0, 2, 1, 3] }), [-1, 8, 8, 8])
      }
      let y = conv(g, x, 3, 8)
      for (let block = 0; block < 2; block++) {
        const [left, right] = parts(g, y, [], 2, { num_outputs: 2 })
        y = shuffle(g.Concat(left, g.Relu(conv(g, right, 4, 4)), { axis: 1 }))
      }
      return head(g, y, 8)
    }),
    [2, 2, 4, 2, 2, 4, kept],
  ],
  'a Reshape that splits an axis and merges others': [
    modelOf((g, x) => {
      const a = g.Transpose(conv(g, x, 3, 12), { perm: [0, 2, 3, 1] })
      return g.MatMul(g.Reshape(a, [0, -1, 4]), noise([4, 5]))
    }),
    [4, kept],
  ],
  'heads of a fused query, key and value': [
    modelOf(
      (g, x) => {
        const qkv = g.Reshape(dense(g, x, 8, 36), [0, 24, 3, 3, 4])
        const [q, k, v] = [0, 1, 2].map((index) =>
          g.Gather(g.Transpose(qkv, { perm: [2, 0, 3, 1, 4] }), tensorOf('int64', [], [index])),
        )
        const scores = g.Softmax(g.MatMul(q, g.Transpose(k, { perm: [0, 1, 3, 2] })))
        const mixed = g.Transpose(g.MatMul(scores, v), { perm: [0, 2, 1, 3] })
        return g.MatMul(g.Reshape(mixed, [0, 24, 12]), noise([12, 5]))
      },
      [24, 8],
    ),
    [3, kept],
  ],
}

describe('channel groups', () => {
  it.each(Object.entries(rows))('follow %s', (_, row) => expectRow(row))
})

/** A model whose batch and length are free. */
function sequenceModel(body: (g: Builder, x: Value) => Value): Model {
  const { model, g } = newModel('sequence')
  const x = g.input('x', { dtype: 'float32', shape: ['batch', 'length', 8] })
  g.output('y', body(g, x), { dtype: 'float32' })
  return model
}

const axisOf = (g: Builder, x: Value, axis: number) => g.Gather(g.Shape(x), [axis])

/** Graphs that compute shapes from sizes as exporters write it, with their groups. */
const dynamic: Readonly<Record<string, readonly [Model, readonly (number | string)[]]>> = {
  'Reshape by the batch and the length': [
    sequenceModel((g, x) => {
      const heads = (y: Value) => {
        const shape = g.Concat(axisOf(g, y, 0), axisOf(g, y, 1), [3, 4], { axis: 0 })
        return g.Transpose(g.Reshape(y, shape), { perm: [0, 2, 1, 3] })
      }
      const [q, k, v] = [0, 1, 2].map(() => heads(dense(g, x, 8, 12)))
      const scores = g.Softmax(g.MatMul(q, g.Transpose(k, { perm: [0, 1, 3, 2] })))
      const mixed = g.Transpose(g.MatMul(scores, v), { perm: [0, 2, 1, 3] })
      const back = g.Concat(axisOf(g, mixed, 0), axisOf(g, mixed, 1), [12], { axis: 0 })
      return dense(g, g.Reshape(mixed, back), 12, 5)
    }),
    [3, kept],
  ],
  'Reshape by products and quotients of sizes': [
    sequenceModel((g, x) => {
      const a = dense(g, x, 8, 12)
      const width = g.Div(axisOf(g, a, 2), int64([3]))
      const split = g.Concat(axisOf(g, a, 0), axisOf(g, a, 1), [3], width, { axis: 0 })
      const b = g.Transpose(g.Reshape(a, split), { perm: [0, 2, 1, 3] })
      const joined = g.Mul(axisOf(g, b, 1), axisOf(g, b, 3))
      const c = g.Transpose(b, { perm: [0, 2, 1, 3] })
      const shape = g.Concat(axisOf(g, a, 0), axisOf(g, a, 1), joined, { axis: 0 })
      return dense(g, g.Reshape(c, shape), 12, 5)
    }),
    [3, kept],
  ],
  'a scale that depends on the width': [
    sequenceModel((g, x) => {
      const a = dense(g, x, 8, 12)
      const root = g.Sqrt(g.Cast(axisOf(g, a, 2), { to: 1 }))
      return dense(g, g.Div(a, root), 12, 5)
    }),
    [12, kept],
  ],
  'a Slice in the middle of the channels': [
    sequenceModel((g, x) => {
      const a = dense(g, x, 8, 12)
      const half = g.Div(axisOf(g, a, 2), int64([2]))
      const [low, high] = [g.Slice(a, [0], half, [2]), g.Slice(a, half, axisOf(g, a, 2), [2])]
      return dense(g, g.Mul(low, g.Sigmoid(high)), 6, 5)
    }),
    [6, kept],
  ],
  'Expand and constants by the sizes of others': [
    sequenceModel((g, x) => {
      const a = dense(g, x, 8, 12)
      const [zeros] = g.node('ConstantOfShape', [g.Shape(a)])
      const b = g.Expand(noise([12]), g.Shape(a))
      return dense(g, g.Max(g.Add(a, b), zeros), 12, 5)
    }),
    [12, kept],
  ],
  'batch and channels laid out on one axis': [
    sequenceModel((g, x) => {
      const a = g.Transpose(dense(g, x, 8, 12), { perm: [0, 2, 1] })
      const merged = g.Mul(axisOf(g, x, 0), int64([12]))
      const b = g.Reshape(a, g.Concat(merged, axisOf(g, x, 1), { axis: 0 }))
      const back = g.Concat(axisOf(g, x, 0), [12], axisOf(g, x, 1), { axis: 0 })
      const c = g.Reshape(g.Relu(b), back)
      return dense(g, g.Transpose(c, { perm: [0, 2, 1] }), 12, 5)
    }),
    [12, kept],
  ],
}

describe('shapes that are computed', () => {
  it.each(Object.entries(dynamic))('follow for every size: %s', async (_, [model, groups]) => {
    const prepared = await prepareChannels(model)
    const found = channelGroups(prepared)
    expect(
      found.map(({ channels, prunable }) => (prunable === true ? channels : prunable)),
    ).toEqual(groups)
    const source = random(1, 'sizes')
    const cuts = randomCuts(found, 0.4, source)
    const reference = zeroed(prepared, cuts)
    cutChannels(prepared, cuts)
    const smaller = cloneModel(prepared)
    for (const one of [reference, smaller]) restoreInterface(one, model)
    for (const dims of [
      [1, 13, 8],
      [3, 5, 8],
    ]) {
      const data = Float32Array.from({ length: sizeOf(dims) }, () => source.normal())
      const x = tensorOf('float32', dims, data)
      const [[wanted], [got]] = [await outputsOf(reference, { x }), await outputsOf(smaller, { x })]
      expect(got!.length).toBe(wanted!.length)
      for (let at = 0; at < got!.length; at++) expect(got![at]).toBeCloseTo(wanted![at]!, 4)
    }
  })
})
