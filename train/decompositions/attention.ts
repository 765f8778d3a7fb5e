// Scaled dot-product attention (Vaswani et al. 2017) in its several interfaces, as formulas.
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Node, Value } from '../../onnx/graph.ts'
import { dataTypes, tensorOf } from '../../onnx/tensor.ts'
import type { Decomposition } from '../decompose.ts'
import { fill, shapeOf } from '../rule.ts'

/** A value whose shape is known before anything infers it: [batch, heads, length, size of a head]. */
interface Heads {
  readonly value: Value
  readonly shape: readonly [batch: number, heads: number, length: number, size: number]
}

interface Scores {
  readonly scale: number
  /** Caps scores by tanh where above 0. */
  readonly softcap?: number
  /** What is added to the scores, of shapes that broadcast to [batch, heads, length of q, length of k]. */
  readonly biases: readonly Value[]
}

/** What is added to scores that are masked out: their exponential is 0, and no row becomes NaN. */
const masked = -1e30

/** softmax(scale·qkᵀ + biases)·v; several heads of q may share one of k and v (Ainslie et al. 2023). */
function attend(
  g: Builder,
  q: Heads,
  k: Heads,
  v: Heads,
  { scale, softcap, biases }: Scores,
): Heads {
  const [batch, heads, length, size] = q.shape
  const [, shared, keys] = k.shape
  const rows = [batch, shared, (heads / shared) * length]
  const query = heads === shared ? q.value : g.Reshape(q.value, [...rows, size])
  const products = g.MatMul(g.Mul(query, scale), g.Transpose(k.value, { perm: [0, 1, 3, 2] }))
  const apart = heads === shared ? products : g.Reshape(products, [batch, heads, length, keys])
  const capped = softcap ? g.Mul(g.Tanh(g.Mul(apart, 1 / softcap)), softcap) : apart
  const scores = biases.reduce((sum, bias) => g.Add(sum, bias), capped)
  const shares = g.Softmax(scores, { axis: -1 })
  const together = heads === shared ? shares : g.Reshape(shares, [...rows, keys])
  const mixed = g.MatMul(together, v.value)
  const shape = [batch, heads, length, v.shape[3]] as const
  return { value: heads === shared ? mixed : g.Reshape(mixed, shape), shape }
}

/** [batch, length, heads · size] as heads. */
function split(g: Builder, value: Value, heads: number, shape = shapeOf(value)): Heads {
  const [batch, length, width] = shape as [number, number, number]
  const size = width / heads
  const apart = g.Reshape(value, [batch, length, heads, size])
  return {
    value: g.Transpose(apart, { perm: [0, 2, 1, 3] }),
    shape: [batch, heads, length, size],
  }
}

/** Heads side by side: [batch, length, heads · size]. */
function join(g: Builder, { value, shape: [batch, heads, length, size] }: Heads): Value {
  return g.Reshape(g.Transpose(value, { perm: [0, 2, 1, 3] }), [batch, length, heads * size])
}

/** Heads behind those of the past. */
function behind(g: Builder, past: Value | undefined, heads: Heads): Heads {
  if (!past) return heads
  const [batch, count, length, size] = heads.shape
  return {
    value: g.Concat(past, heads.value, { axis: 2 }),
    shape: [batch, count, shapeOf(past)[2]! + length, size],
  }
}

/** 0 where a mask is true or not 0, else what hides a score. */
function hiding(g: Builder, mask: Value): Value {
  const kept = g.Cast(g.Cast(mask, { to: dataTypes.bool.code }), { to: dataTypes.float32.code })
  return g.Mul(g.Sub(1, kept), masked)
}

/** Hides from each position what comes after it; the first query stands at the key `offset`. */
const causal = (g: Builder, length: number, keys: number, offset: number): Value =>
  g.Trilu(fill(g, masked, [length, keys]), tensorOf('int64', [], [offset + 1]), { upper: 1 })

/** ONNX's Attention (opset 23). */
export const attention: Decomposition = ({ g, node, inputs, where }) => {
  refuse(node, where, [
    [inputs[6] !== undefined, 'lengths of its keys'],
    [isUsed(g, node.outputs[3]), 'its scores as an output'],
  ])
  const flat = shapeOf(node.input(0)).length === 3
  const heads = (index: number, attribute: string): Heads => {
    const value = node.input(index)
    if (flat) return split(g, value, node.number(attribute, 1))
    return { value, shape: shapeOf(value) as Heads['shape'] }
  }
  const q = heads(0, 'q_num_heads')
  const k = behind(g, inputs[4], heads(1, 'kv_num_heads'))
  const v = behind(g, inputs[5], heads(2, 'kv_num_heads'))
  const mask = inputs[3]
  const biases: Value[] = []
  if (mask) biases.push(mask.type?.dtype === 'bool' ? hiding(g, mask) : mask)
  const offset = inputs[4] ? shapeOf(inputs[4])[2]! : 0
  if (node.number('is_causal', 0)) biases.push(causal(g, q.shape[2], k.shape[2], offset))
  const mixed = attend(g, q, k, v, {
    scale: node.number('scale') ?? 1 / Math.sqrt(q.shape[3]),
    softcap: node.number('softcap', 0),
    biases,
  })
  return [flat ? join(g, mixed) : mixed.value, k.value, v.value]
}

/** com.microsoft's MultiHeadAttention with query, key and value apart. */
export const multiHeadAttention: Decomposition = ({ g, node, inputs, where }) => {
  const [query, key, value, bias, padding, addend] = inputs
  refuse(node, where, [
    [!key || !value || shapeOf(key).length !== 3, 'packed keys and values'],
    [padding !== undefined && shapeOf(padding).length !== 2, 'a mask of lengths'],
    [inputs.slice(6).some((input) => input !== undefined), 'a past'],
    [
      node.outputs.slice(1).some((output) => isUsed(g, output)),
      'its keys, values or scores as outputs',
    ],
  ])
  const count = node.number('num_heads', 1)
  const widths = [query, key, value].map((input) => shapeOf(input!)[2]!)
  let start = 0
  const [q, k, v] = [query!, key!, value!].map((input, index) => {
    const end = start + widths[index]!
    const shifted = bias ? g.Add(input, g.Slice(bias, [start], [end], [0])) : input
    start = end
    return split(g, shifted, count, shapeOf(input))
  }) as [Heads, Heads, Heads]
  const biases: Value[] = []
  if (addend) biases.push(addend)
  if (padding) biases.push(g.Unsqueeze(hiding(g, padding), [1, 2]))
  if (node.number('unidirectional', 0))
    biases.push(causal(g, q.shape[2], k.shape[2], k.shape[2] - q.shape[2]))
  return [join(g, attend(g, q, k, v, { scale: scaleOf(node, q), biases }))]
}

/** com.microsoft's Attention: one product for query, key and value of the same input. */
export const packedAttention: Decomposition = ({ g, node, inputs, x, where }) => {
  const [, weight, bias, mask, past, addend] = inputs
  refuse(node, where, [
    [past !== undefined, 'a past'],
    [isUsed(g, node.outputs[1]), 'its keys and values as an output'],
    [mask !== undefined && shapeOf(mask).length === 1, 'a mask of lengths'],
    [mask !== undefined && shapeOf(mask).length > 3, 'a mask of four dimensions'],
    [node.number('do_rotary', 0) === 1, 'rotary embedding inside'],
  ])
  const [batch = 1, length = 1] = shapeOf(x)
  const total = shapeOf(weight!)[1]!
  const widths = node.numbers('qkv_hidden_sizes', [total / 3, total / 3, total / 3])
  const product = g.MatMul(x, weight)
  const sums = bias ? g.Add(product, bias) : product
  const count = node.number('num_heads', 1)
  let start = 0
  const [q, k, v] = widths.map((width) => {
    const end = start + width
    const part = g.Slice(sums, [start], [end], [2])
    start = end
    return split(g, part, count, [batch, length, width])
  }) as [Heads, Heads, Heads]
  const biases: Value[] = []
  if (addend) biases.push(addend)
  if (mask) biases.push(g.Unsqueeze(hiding(g, mask), shapeOf(mask).length === 2 ? [1, 2] : [1]))
  if (node.number('unidirectional', 0)) biases.push(causal(g, length, length, 0))
  return [join(g, attend(g, q, k, v, { scale: scaleOf(node, q), biases }))]
}

/** com.microsoft takes a scale of 0 for none. */
const scaleOf = (node: Node, q: Heads): number =>
  node.number('scale', 0) || 1 / Math.sqrt(q.shape[3])

const isUsed = (g: Builder, output: Value | undefined): boolean =>
  output !== undefined && (output.users.size > 0 || g.graph.outputs.includes(output))

function refuse(
  node: Node,
  where: string,
  cases: readonly (readonly [holds: boolean, what: string])[],
): void {
  const found = cases.find(([holds]) => holds)
  if (found)
    throw new UserError(
      `${where}: no gradient for ${node.opType} '${node.name}' with ${found[1]} — export the model with attention written out`,
    )
}
