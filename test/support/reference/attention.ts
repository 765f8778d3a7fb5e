// Reference evaluators of attention, rotary embedding and products with something around them.
import type { Attributes } from '../../../onnx/build.ts'
import {
  at,
  broadcastAt,
  type Evaluator,
  fill,
  type NdArray,
  nd,
  numberOf,
  numbersOf,
  required,
} from './nd.ts'
import { products } from './product.ts'

/** [batch, length, heads · size] as [batch, heads, length, size]. */
function split(x: NdArray, heads: number): NdArray {
  if (x.dims.length === 4) return x
  const [batch = 0, length = 0, width = 0] = x.dims
  const size = width / heads
  return fill([batch, heads, length, size], ([b, h, s, d]) => at(x, [b!, s!, h! * size + d!]))
}

function join(x: NdArray): NdArray {
  const [batch = 0, heads = 0, length = 0, size = 0] = x.dims
  return fill([batch, length, heads * size], ([b, s, d]) =>
    at(x, [b!, Math.floor(d! / size), s!, d! % size]),
  )
}

const concatenated = (past: NdArray | undefined, x: NdArray): NdArray => {
  if (!past) return x
  const before = past.dims[2]!
  return fill(x.dims.with(2, before + x.dims[2]!), ([b, h, s, d]) =>
    s! < before ? at(past, [b!, h!, s!, d!]) : at(x, [b!, h!, s! - before, d!]),
  )
}

/** Attention of heads; `score` turns the scaled product at [batch, head, query, key] into what Softmax sees. */
function attend(
  q: NdArray,
  k: NdArray,
  v: NdArray,
  scale: number,
  score: (product: number, position: readonly number[]) => number,
): NdArray {
  const [batch = 0, heads = 0, length = 0, size = 0] = q.dims
  const [, shared = 0, keys = 0] = k.dims
  const group = heads / shared
  return fill([batch, heads, length, v.dims[3]!], ([b, h, s, d]) => {
    const head = Math.floor(h! / group)
    const weights = Array.from({ length: keys }, (_, t) => {
      let product = 0
      for (let i = 0; i < size; i++) product += at(q, [b!, h!, s!, i]) * at(k, [b!, head, t, i])
      return Math.exp(score(product * scale, [b!, h!, s!, t]))
    })
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return weights.reduce((sum, weight, t) => sum + (weight / total) * at(v, [b!, head, t, d!]), 0)
  })
}

const attention: Evaluator = ([query, key, value, mask, pastKey, pastValue], attributes) => {
  const q = split(required(query), numberOf(attributes, 'q_num_heads', 0))
  const count = numberOf(attributes, 'kv_num_heads', 0)
  const k = concatenated(pastKey, split(required(key), count))
  const v = concatenated(pastValue, split(required(value), count))
  const softcap = numberOf(attributes, 'softcap', 0)
  const causal = numberOf(attributes, 'is_causal', 0)
  const offset = pastKey?.dims[2] ?? 0
  const scale = numberOf(attributes, 'scale', 1 / Math.sqrt(q.dims[3]!))
  // Masks of numbers are drawn, and hold others than 0 and 1.
  const truths = mask?.data.every((value) => value === 0 || value === 1)
  const y = attend(q, k, v, scale, (product, position) => {
    const capped = softcap ? softcap * Math.tanh(product / softcap) : product
    const [, , s, t] = position
    if (causal && t! > s! + offset) return -Infinity
    if (!mask) return capped
    const bias = broadcastAt(mask, position)
    if (truths) return bias ? capped : -Infinity
    return capped + bias
  })
  return { ...(required(query).dims.length === 3 ? join(y) : y), more: [k, v] }
}

/** What com.microsoft's forms add to a score. */
const scoreOf =
  (
    attributes: Attributes,
    offset: number,
    addend: NdArray | undefined,
    hidden: (position: readonly number[]) => boolean,
  ) =>
  (product: number, position: readonly number[]): number => {
    const [, , s, t] = position
    if (hidden(position)) return -Infinity
    if (numberOf(attributes, 'unidirectional', 0) && t! > s! + offset) return -Infinity
    return product + (addend ? broadcastAt(addend, position) : 0)
  }

const multiHead: Evaluator = ([query, key, value, bias, padding, addend], attributes) => {
  const heads = numberOf(attributes, 'num_heads', 1)
  let start = 0
  const parts = [query, key, value].map((input) => {
    const x = required(input)
    const first = start
    start += x.dims[2]!
    return split(
      fill(x.dims, (position) => at(x, position) + (bias?.data[first + position[2]!] ?? 0)),
      heads,
    )
  })
  const [q, k, v] = parts as [NdArray, NdArray, NdArray]
  const scale = numberOf(attributes, 'scale', 1 / Math.sqrt(q.dims[3]!))
  const hidden = ([b, , , t]: readonly number[]) =>
    padding !== undefined && at(padding, [b!, t!]) === 0
  const score = scoreOf(attributes, k.dims[2]! - q.dims[2]!, addend, hidden)
  return join(attend(q, k, v, scale, score))
}

const packed: Evaluator = ([x, weight, bias, mask, , addend], attributes) => {
  const product = products.MatMul!([x, weight], {})
  const [batch = 0, length = 0, total = 0] = product.dims
  const widths = numbersOf(attributes, 'qkv_hidden_sizes', [total / 3, total / 3, total / 3])
  const heads = numberOf(attributes, 'num_heads', 1)
  let start = 0
  const parts = widths.map((width) => {
    const first = start
    start += width
    return split(
      fill(
        [batch, length, width],
        ([b, s, d]) => at(product, [b!, s!, first + d!]) + (bias?.data[first + d!] ?? 0),
      ),
      heads,
    )
  })
  const [q, k, v] = parts as [NdArray, NdArray, NdArray]
  const scale = numberOf(attributes, 'scale', 1 / Math.sqrt(q.dims[3]!))
  const hidden = ([b, , s, t]: readonly number[]) =>
    mask !== undefined && at(mask, mask.dims.length === 2 ? [b!, t!] : [b!, s!, t!]) === 0
  return join(attend(q, k, v, scale, scoreOf(attributes, 0, addend, hidden)))
}

/** Turns pairs of elements; `angle` gives the row of the tables at [batch, position]. */
function rotated(
  x: NdArray,
  cosines: NdArray,
  sines: NdArray,
  row: (b: number, s: number) => readonly number[],
  attributes: Attributes,
): NdArray {
  const half = cosines.dims.at(-1)!
  const flat = x.dims.length === 3
  const heads = flat ? numberOf(attributes, 'num_heads', 0) || x.dims[2]! / (2 * half) : x.dims[1]!
  const source = split(x, heads)
  const interleaved = numberOf(attributes, 'interleaved', 0)
  const y = fill(source.dims, ([b, h, s, d]) => {
    if (d! >= 2 * half) return at(source, [b!, h!, s!, d!])
    const pair = interleaved ? Math.floor(d! / 2) : d! % half
    const second = interleaved ? d! % 2 === 1 : d! >= half
    const place = (isSecond: boolean) =>
      interleaved ? 2 * pair + (isSecond ? 1 : 0) : pair + (isSecond ? half : 0)
    const element = (isSecond: boolean) => at(source, [b!, h!, s!, place(isSecond)])
    const [cosine, sine] = [cosines, sines].map((table) => at(table, [...row(b!, s!), pair]))
    return second
      ? element(false) * sine! + element(true) * cosine!
      : element(false) * cosine! - element(true) * sine!
  })
  return flat ? join(y) : y
}

const rotary: Evaluator = ([x, cosines, sines, positions], attributes) =>
  rotated(
    required(x),
    required(cosines),
    required(sines),
    (b, s) => (positions ? [at(positions, [b, s])] : [b, s]),
    attributes,
  )

const microsoftRotary: Evaluator = ([x, positions, cosines, sines], attributes) => {
  const given = required(positions)
  return rotated(
    required(x),
    required(cosines),
    required(sines),
    (b, s) => [given.data.length === 1 ? given.data[0]! + s : at(given, [b, s])],
    attributes,
  )
}

const turned = (x: NdArray, turn: number): NdArray => {
  if (!turn || x.dims.length < 2) return x
  const [rows, columns] = [x.dims.at(-2)!, x.dims.at(-1)!]
  return fill([...x.dims.slice(0, -2), columns, rows], (position) =>
    at(x, [...position.slice(0, -2), position.at(-1)!, position.at(-2)!]),
  )
}

const fusedMatMul: Evaluator = ([a, b], attributes) => {
  const [transA, transB] = [numberOf(attributes, 'transA', 0), numberOf(attributes, 'transB', 0)]
  const { dims, data } = products.MatMul!(
    [turned(required(a), transA), turned(required(b), transB)],
    {},
  )
  const alpha = numberOf(attributes, 'alpha', 1)
  return nd(
    dims,
    data.map((value) => alpha * value),
  )
}

const fusedGemm: Evaluator = (inputs, attributes) => {
  const { dims, data } = products.Gemm!(inputs, attributes)
  const slope = numberOf(attributes, 'activation_alpha', 0.01)
  const functions: Record<string, (x: number) => number> = {
    LeakyRelu: (x) => (x > 0 ? x : slope * x),
    Relu: (x) => Math.max(x, 0),
    Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    Tanh: Math.tanh,
  }
  return nd(dims, data.map(functions[String(attributes.activation)]!))
}

/** Evaluators by operator. */
export const attentions: Readonly<Record<string, Evaluator>> = {
  Attention: attention,
  RotaryEmbedding: rotary,
  'com.microsoft.Attention': packed,
  'com.microsoft.FusedGemm': fusedGemm,
  'com.microsoft.FusedMatMul': fusedMatMul,
  'com.microsoft.MultiHeadAttention': multiHead,
  'com.microsoft.RotaryEmbedding': microsoftRotary,
}
