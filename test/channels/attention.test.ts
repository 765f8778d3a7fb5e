import { describe, expect, it } from '@jest/globals'
import { channelGroups } from '../../channels/groups.ts'
import { isHeads, isHeadWidth } from '../../channels/heads.ts'
import { prepareChannels } from '../../channels/prepare.ts'
import type { Attributes, Builder, Operand } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { expectRow, kept, modelOf, noise } from './small.ts'

const dense = (g: Builder, x: Operand, from: number, to: number): Value =>
  g.Add(g.MatMul(x, noise([from, to])), noise([to]))

/** `[N, 6, 8]` */
const places = [6, 8]

/** softmax(q·kᵀ)·v by heads; values `[N, 6, heads * size]`. */
function written(g: Builder, q: Value, k: Value, v: Value, heads: number): Value {
  const split = (x: Value, perm: readonly number[]) =>
    g.Transpose(g.Reshape(x, [0, 6, heads, -1]), { perm })
  const scores = g.MatMul(split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1]))
  const mixed = g.MatMul(g.Softmax(g.Mul(scores, 0.5), { axis: -1 }), split(v, [0, 2, 1, 3]))
  return g.Reshape(g.Transpose(mixed, { perm: [0, 2, 1, 3] }), [0, 6, -1])
}

const separate = modelOf((g, x) => {
  const [q, k, v] = [dense(g, x, 8, 20), dense(g, x, 8, 20), dense(g, x, 8, 30)]
  return dense(g, written(g, q, k, v, 5), 30, 5)
}, places)

const bySplit = modelOf((g, x) => {
  const all = dense(g, x, 8, 60)
  const [q, k, v] = g.node('Split', [all, [20, 20, 20]], { attributes: { axis: 2 }, outputs: 3 })
  return dense(g, written(g, q!, k!, v!, 5), 20, 5)
}, places)

const bySlice = modelOf((g, x) => {
  const all = dense(g, x, 8, 60)
  const [q, k, v] = [0, 20, 40].map((start) => g.Slice(all, [start], [start + 20], [2]))
  return dense(g, written(g, q!, k!, v!, 5), 20, 5)
}, places)

/** As many vision transformers have it: [N, length, 3, heads, size], turned, taken apart. */
const byReshape = modelOf((g, x) => {
  const all = g.Reshape(dense(g, x, 8, 60), [0, 6, 3, 5, 4])
  const turned = g.Transpose(all, { perm: [2, 0, 3, 1, 4] })
  const [q, k, v] = [0, 1, 2].map((index) => g.Gather(turned, tensorOf('int64', [], [index])))
  const scores = g.MatMul(q, g.Transpose(k, { perm: [0, 1, 3, 2] }))
  const mixed = g.MatMul(g.Softmax(g.Mul(scores, 0.5), { axis: -1 }), v)
  return dense(g, g.Reshape(g.Transpose(mixed, { perm: [0, 2, 1, 3] }), [0, 6, 20]), 20, 5)
}, places)

/** Keys and values of fewer heads, repeated. */
const repeated = modelOf((g, x) => {
  const fewer = (value: Value) => {
    const apart = g.Transpose(g.Reshape(value, [0, 6, 3, 4]), { perm: [0, 2, 1, 3] })
    const many = g.Expand(g.Unsqueeze(apart, [2]), [1, 3, 2, 6, 4])
    return g.Reshape(many, [-1, 6, 6, 4])
  }
  const [k, v] = [fewer(dense(g, x, 8, 12)), fewer(dense(g, x, 8, 12))]
  const q = g.Transpose(g.Reshape(dense(g, x, 8, 24), [0, 6, 6, 4]), { perm: [0, 2, 1, 3] })
  const scores = g.MatMul(q, g.Transpose(k, { perm: [0, 1, 3, 2] }))
  const mixed = g.MatMul(g.Softmax(scores, { axis: -1 }), v)
  return dense(g, g.Reshape(g.Transpose(mixed, { perm: [0, 2, 1, 3] }), [0, 6, 24]), 24, 5)
}, places)

const einsum = modelOf((g, x) => {
  const [q, k, v] = [0, 1, 2].map(() =>
    g.Einsum(x, noise([8, 5, 4]), { equation: 'bld,dhk->blhk' }),
  )
  const scores = g.Einsum(q, k, { equation: 'bqhd,bkhd->bhqk' })
  const mixed = g.Einsum(g.Softmax(scores, { axis: -1 }), v, { equation: 'bhqk,bkhd->bqhd' })
  return g.Einsum(mixed, noise([5, 4, 3]), { equation: 'blhk,hkd->bld' })
}, places)

function operator(
  opType: string,
  domain: string,
  inputs: (g: Builder, x: Value) => readonly Operand[],
  attributes: Attributes,
  width: number,
): Model {
  return modelOf(
    (g, x) => dense(g, g.node(opType, inputs(g, x), { domain, attributes })[0]!, width, 5),
    places,
    domain ? 21 : 23,
  )
}

const multiHead = operator(
  'MultiHeadAttention',
  'com.microsoft',
  (g, x) => [...[20, 20, 30].map((width) => dense(g, x, 8, width)), noise([70])],
  { num_heads: 5 },
  30,
)

const multiHeadWithAddends = operator(
  'MultiHeadAttention',
  'com.microsoft',
  (g, x) => [
    ...[20, 20, 20].map((width) => g.MatMul(x, noise([8, width]))),
    ...[undefined, undefined, noise([1, 5, 6, 6])],
  ],
  { num_heads: 5, scale: 0.3 },
  20,
)

const fused = operator(
  'Attention',
  'com.microsoft',
  (_, x) => [x, noise([8, 60]), noise([60])],
  { num_heads: 5 },
  20,
)

const fusedWide = operator(
  'Attention',
  'com.microsoft',
  (g, x) => [dense(g, x, 8, 10), noise([10, 70]), noise([70])],
  { num_heads: 5, qkv_hidden_sizes: [20, 20, 30] },
  30,
)

const standard = operator(
  'Attention',
  '',
  (g, x) => [20, 20, 30].map((width) => dense(g, x, 8, width)),
  { q_num_heads: 5, kv_num_heads: 5 },
  30,
)

const standardShared = operator(
  'Attention',
  '',
  (g, x) => [24, 12, 12].map((width) => dense(g, x, 8, width)),
  { q_num_heads: 6, kv_num_heads: 3, is_causal: 1 },
  24,
)

/** The heads on an axis of their own. */
const standardApart = modelOf(
  (g, x) => {
    const inputs = [20, 20, 30].map((width) =>
      g.Transpose(g.Reshape(dense(g, x, 8, width), [0, 6, 5, -1]), { perm: [0, 2, 1, 3] }),
    )
    const y = g.Transpose(g.node('Attention', inputs)[0]!, { perm: [0, 2, 1, 3] })
    return dense(g, g.Reshape(y, [0, 6, -1]), 30, 5)
  },
  places,
  23,
)

const positions = tensorOf('int64', [1, 6], [0, 1, 2, 3, 4, 5])

const rotary = (interleaved: number) =>
  modelOf((g, x) => {
    const angles = [g.constant(noise([9, 2])), g.constant(noise([9, 2]))]
    const attributes = { interleaved, num_heads: 5 }
    const turn = (value: Value) =>
      g.node('RotaryEmbedding', [value, positions, ...angles], {
        ...{ domain: 'com.microsoft', attributes },
      })[0]!
    const [q, k, v] = [dense(g, x, 8, 20), dense(g, x, 8, 20), dense(g, x, 8, 20)]
    const [y] = g.node('MultiHeadAttention', [turn(q), turn(k), v], {
      ...{ domain: 'com.microsoft', attributes: { num_heads: 5 } },
    })
    return dense(g, y!, 20, 5)
  }, places)

const rotaryStandard = modelOf(
  (g, x) => {
    const table = () => g.constant(noise([1, 6, 2]))
    const [cosines, sines] = [table(), table()]
    const heads = (value: Value) =>
      g.Transpose(g.Reshape(value, [0, 6, 5, 4]), { perm: [0, 2, 1, 3] })
    const turn = (value: Value) => g.node('RotaryEmbedding', [value, cosines, sines])[0]!
    const [q, k, v] = [0, 1, 2].map(() => heads(dense(g, x, 8, 20)))
    const [y] = g.node('Attention', [turn(q!), turn(k!), v!])
    const joined = g.Reshape(g.Transpose(y!, { perm: [0, 2, 1, 3] }), [0, 6, 20])
    return dense(g, joined, 20, 5)
  },
  places,
  23,
)

/** Rotation written out, as language models have it. */
const rotaryWritten = modelOf((g, x) => {
  const [cosines, sines] = [g.constant(noise([6, 4])), g.constant(noise([6, 4]))]
  const heads = (value: Value) =>
    g.Transpose(g.Reshape(value, [0, 6, 5, 4]), { perm: [0, 2, 1, 3] })
  const turn = (value: Value) => {
    const [front, back] = [g.Slice(value, [0], [2], [3]), g.Slice(value, [2], [4], [3])]
    const turned = g.Concat(g.Neg(back), front, { axis: -1 })
    return g.Add(g.Mul(value, cosines), g.Mul(turned, sines))
  }
  const [q, k, v] = [0, 1, 2].map(() => heads(dense(g, x, 8, 20)))
  const scores = g.MatMul(turn(q!), g.Transpose(turn(k!), { perm: [0, 1, 3, 2] }))
  const mixed = g.MatMul(g.Softmax(scores, { axis: -1 }), v!)
  return dense(g, g.Reshape(g.Transpose(mixed, { perm: [0, 2, 1, 3] }), [0, 6, 20]), 20, 5)
}, places)

/** By heads, and by their width. */
const rows: Readonly<
  Record<string, readonly [Model, readonly (number | string)[], readonly (number | string)[]]>
> = {
  'written out': [separate, [5, kept], [4, 6, kept]],
  'written out, with Split': [bySplit, [5, kept], [4, 4, kept]],
  'written out, with Slice': [bySlice, [5, kept], [4, 4, kept]],
  'written out, with Reshape': [byReshape, [5, kept], [4, kept]],
  'written out, with shared keys': [repeated, [3, kept], [4, 4, kept]],
  'written out in Einsum': [einsum, [5, 4, 4, kept], [5, 4, 4, kept]],
  'MultiHeadAttention with a bias': [multiHead, [5, kept], [4, 6, kept]],
  'MultiHeadAttention with addends': [multiHeadWithAddends, [5, kept], [4, 4, kept]],
  'fused Attention': [fused, [5, kept], [4, 4, kept]],
  'fused Attention of other values': [fusedWide, [10, 5, kept], [10, 4, 6, kept]],
  'Attention of opset 23': [standard, [5, kept], [4, 6, kept]],
  'Attention with shared keys': [standardShared, [3, kept], [4, 4, kept]],
  'Attention of four axes': [standardApart, [5, kept], [4, 6, kept]],
  'RotaryEmbedding of halves': [rotary(0), [5, kept], [2, 4, kept]],
  'RotaryEmbedding, interleaved': [rotary(1), [5, kept], [2, 4, kept]],
  'RotaryEmbedding of opset 23': [rotaryStandard, [5, kept], [2, 4, kept]],
  'RotaryEmbedding written out': [rotaryWritten, [5, kept], [2, 4, kept]],
}

describe('attention', () => {
  it.each(Object.entries(rows))('%s is followed by heads', (_, [model, heads]) =>
    expectRow([model, heads]),
  )

  it.each(Object.entries(rows))('%s is followed by width', (_, [model, , width]) =>
    expectRow([model, width, { split: 'width' }]),
  )

  it.each(Object.entries(rows).filter(([, [, heads]]) => heads.length === 2))(
    '%s tells heads from width',
    async (_, [model]) => {
      const prepared = await prepareChannels(model)
      const found = (split: 'heads' | 'width') =>
        channelGroups(prepared, { split })
          .filter(({ prunable }) => prunable === true)
          .map((group) => [isHeads(group), isHeadWidth(group)])
      expect(found('heads')).toEqual([[true, false]])
      for (const kinds of found('width')) expect(kinds).toEqual([false, true])
    },
  )
})
