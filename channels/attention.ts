// Rules of the attention operators: heads as a whole, or the width of all heads (of queries with keys, of values with
// the output). Vaswani et al. 2017; several heads of queries may share one of keys and values (Ainslie et al. 2023).

import { type Node, operatorOf, type Value } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import type { Change, Rule } from './rule.ts'
import { axesOf, type Role, type Slot, slot, type Tie } from './ties.ts'

/** Where the heads of one operand lie. */
export interface Heads {
  /** The axis on which heads lie, side by side or on their own. */
  readonly heads: Slot
  /** The axis on which the elements of a head lie: the same one where heads lie side by side. */
  readonly width: Slot
  readonly count: number
  /** The width of one head. */
  readonly size: number
  /** The first index, where several operands lie on one axis of a weight. */
  readonly offset: number
  readonly role?: Role
}

/** What an attention node works on. */
export interface Operands {
  readonly query: Heads
  /** Has the fewest heads. */
  readonly key: Heads
  readonly value: Heads
  /** What has the width of queries and keys. */
  readonly products: readonly Heads[]
  /** What has the width of values and the output. */
  readonly sums: readonly Heads[]
  /** Further axes with an index for each head of the queries: masks, scores. */
  readonly byHead: readonly Slot[]
  /** Ties that hold in any case. */
  readonly ties: readonly Tie[]
}

/** Says how long an axis is (after a cut: was). */
type LengthOf = (slot: Slot) => number

const statedLength: LengthOf = ({ value, axis }) => statedShape(value)?.[axis] ?? 0

/** Reads operands off values. */
class Reader {
  readonly lengthOf: LengthOf

  constructor(lengthOf: LengthOf) {
    this.lengthOf = lengthOf
  }

  /** `[…, length, count * size]` */
  flat(value: Value, count: number): Heads {
    const place = slot(value, -1)
    return { heads: place, width: place, count, size: this.lengthOf(place) / count, offset: 0 }
  }

  /** `[…, count, length, size]` */
  apart(value: Value): Heads {
    const [heads, width] = [slot(value, -3), slot(value, -1)]
    const [count, size] = [this.lengthOf(heads), this.lengthOf(width)]
    return { heads, width, count, size, offset: 0 }
  }

  either(value: Value, count: number): Heads {
    return axesOf(value).length === 4 ? this.apart(value) : this.flat(value, count)
  }

  pasts(...values: readonly (Value | undefined)[]): Heads[] {
    return values.flatMap((value) => (value ? [this.apart(value)] : []))
  }

  /** The axis of heads of values `[batch, heads, rows, columns]`, unless they are one for all heads. */
  byHead(count: number, ...values: readonly (Value | undefined)[]): Slot[] {
    return values
      .filter((value) => value !== undefined && axesOf(value).length > 2)
      .map((value) => slot(value!, -3))
      .filter((axis) => this.lengthOf(axis) === count)
  }
}

/** How one operator's inputs and outputs are read; a string says why they cannot be. */
type Reading = (node: Node, read: Reader) => Operands | string

/** com.microsoft: query, key, value, bias, padding mask, attention bias, past key and value. */
const multiHead: Reading = (node, read) => {
  const [query, key, value, bias, , mask] = node.inputs
  if (!query || !key || !value || [query, key].some((input) => axesOf(input).length === 5))
    return 'takes its queries, keys and values packed together'
  if (bias && axesOf(key).length !== 3) return 'has a bias for keys by heads'
  const count = node.number('num_heads', 1)
  const [q, k, v] = [read.flat(query, count), read.either(key, count), read.either(value, count)]
  const start = q.count * q.size
  const biases = [q, k, v].map(
    ({ heads }, part): Tie => ({
      from: heads,
      to: slot(bias ?? query, 0),
      map: (index) => part * start + index,
      role: 'bias',
    }),
  )
  return {
    ...{ query: q, key: k, value: v },
    products: [k, q, ...read.pasts(node.inputs[6], node.outputs[1])],
    sums: [read.flat(node.output(), count), v, ...read.pasts(node.inputs[7], node.outputs[2])],
    byHead: read.byHead(count, mask, node.outputs[3]),
    ties: bias ? biases : [],
  }
}

/** ONNX's own: Q, K, V, mask, past key and value; Y, present key and value, scores. */
const standard: Reading = (node, read) => {
  const shared = node.number('kv_num_heads', 1)
  const query = read.either(node.input(0), node.number('q_num_heads', 1))
  const [key, value] = [read.either(node.input(1), shared), read.either(node.input(2), shared)]
  const output = read.either(node.output(), query.count)
  return {
    ...{ query, key, value },
    products: [key, query, ...read.pasts(node.inputs[4], node.outputs[1])],
    sums: [output, value, ...read.pasts(node.inputs[5], node.outputs[2])],
    byHead: read.byHead(query.count, node.inputs[3], node.outputs[3]),
    ties: [],
  }
}

/** com.microsoft: query, key, value, past key and value, …; attention bias 10, sinks 11. */
const grouped: Reading = (node, read) => {
  const [q, k, v] = node.inputs
  if (!q || !k || !v) return 'takes its queries, keys and values packed together'
  const [count, shared] = [node.number('num_heads', 1), node.number('kv_num_heads', 1)]
  const [query, key, value] = [read.flat(q, count), read.flat(k, shared), read.flat(v, shared)]
  const sinks = node.inputs[11]
  return {
    ...{ query, key, value },
    products: [key, query, ...read.pasts(node.inputs[3], node.outputs[1])],
    sums: [read.flat(node.output(), count), value, ...read.pasts(node.inputs[4], node.outputs[2])],
    byHead: [
      ...read.byHead(count, node.inputs[10], node.outputs[3]),
      ...(sinks ? [slot(sinks, 0)] : []),
    ],
    ties: [],
  }
}

/**
 * com.microsoft: input, weights `[input, queries + keys + values]`, bias, mask, past `[2, batch, heads, length, size]`,
 * attention bias.
 */
const packed: Reading = (node, read) => {
  const [input, weights, bias, , past, mask] = node.inputs
  if (!input || !weights) return 'has no weights of its own'
  const count = node.number('num_heads', 1)
  const wide = slot(weights, 1)
  const third = read.lengthOf(wide) / 3
  const [q = 0, , v = 0] = node.numbers('qkv_hidden_sizes', [third, third, third])
  const part = (width: number, offset: number): Heads => ({
    ...{ heads: wide, width: wide, count, size: width / count, offset, role: 'out' },
  })
  const [query, key, value] = [part(q, 0), part(q, q), part(v, 2 * q)]
  const pasts = read.pasts(past, node.outputs[1])
  return {
    ...{ query, key, value },
    products: [query, key, ...pasts],
    sums: [value, read.flat(node.output(), count), ...pasts],
    byHead: read.byHead(count, mask),
    ties: [
      { from: slot(input, -1), to: slot(weights, 0), role: 'in' },
      ...(bias ? [{ from: wide, to: slot(bias, 0), role: 'bias' } as const] : []),
    ],
  }
}

const readings: Readonly<Record<string, Reading>> = {
  Attention: standard,
  'com.microsoft.MultiHeadAttention': multiHead,
  'com.microsoft.Attention': packed,
  'com.microsoft.GroupQueryAttention': grouped,
}

/**
 * What an attention operator works on, or the reason why it cannot be followed; undefined for other operators.
 *
 * Lengths are those that the values state, unless `lengthOf` says others.
 */
export const attentionOperands = (
  node: Node,
  lengthOf: LengthOf = statedLength,
): Operands | string | undefined => readings[operatorOf(node)]?.(node, new Reader(lengthOf))

/** How the indices of an operand's axis make units that go together: heads, or places within every head. */
interface Units {
  readonly axisOf: (heads: Heads) => Slot
  readonly unitOf: (heads: Heads, index: number) => number
  readonly firstOf: (heads: Heads, unit: number) => number
}

const isFlat = ({ heads, width }: Heads): boolean => heads.axis === width.axis

/** Heads, as many of each operand as share one of the keys'. */
const wholeHeads = (fewest: number): Units => {
  const each = (heads: Heads) => (heads.count / fewest) * (isFlat(heads) ? heads.size : 1)
  return {
    axisOf: ({ heads }) => heads,
    unitOf: (heads, index) => Math.floor((index - heads.offset) / each(heads)),
    firstOf: (heads, unit) => heads.offset + unit * each(heads),
  }
}

/** The same place in every head. */
const withinHeads: Units = {
  axisOf: ({ width }) => width,
  unitOf: ({ size, offset }, index) => (index - offset) % size,
  firstOf: ({ offset }, unit) => offset + unit,
}

/** Ties operands unit by unit to the first of them, some of which may be parts of one axis with the first. */
function unite(operands: readonly Heads[], { axisOf, unitOf, firstOf }: Units): Tie[] {
  const first = operands[0]!
  const center = axisOf(first)
  const isCenter = (heads: Heads) => axisOf(heads).value === center.value
  const parts = operands.filter(isCenter)
  const holds = ({ offset, count, size }: Heads, index: number) =>
    index >= offset && index < offset + count * size
  const own = (index: number) => {
    const part = isFlat(first) ? parts.find((each) => holds(each, index)) : undefined
    return part ? firstOf(first, unitOf(part, index)) : index
  }
  const role = first.role && { role: first.role }
  return [
    { from: center, to: center, map: own, ...role },
    ...operands
      .filter((heads) => !isCenter(heads))
      .map((heads) => ({
        from: axisOf(heads),
        to: center,
        map: (index: number) => firstOf(first, unitOf(heads, index)),
        ...role,
      })),
  ]
}

/** Whole heads, or the widths of all heads; both where heads have an axis of their own throughout. */
export const attention: Rule = {
  ties(node, { split }) {
    const operands = attentionOperands(node) ?? 'is no attention'
    if (typeof operands === 'string') return operands
    const { key, products, sums, byHead } = operands
    const all = [...products, ...sums]
    const both = !all.some(isFlat)
    const most = Math.max(...all.map(({ count }) => count))
    const further = byHead.map((heads): Heads => {
      return { heads, width: { ...heads, axis: -1 }, count: most, size: 1, offset: 0 }
    })
    // Pairs of elements may be turned together inside, and what is kept of the past has one width.
    const byWidth = split === 'width' && node.opType !== 'GroupQueryAttention'
    return {
      ties: [
        ...operands.ties,
        ...(both || !byWidth ? unite([...all, ...further], wholeHeads(key.count)) : []),
        ...(both || byWidth ? [...unite(products, withinHeads), ...unite(sums, withinHeads)] : []),
      ],
      everyOutput: true,
    }
  },
  adjust: follow,
}

/** Numbers of heads follow; what scores are divided by stays what it was. */
function follow(node: Node, change: Change): void {
  const operands = attentionOperands(node, ({ value, axis }) => change.sizeBefore(value, axis))
  if (operands === undefined || typeof operands === 'string') return
  const { query, key, value } = operands
  const [q, k, v] = [query, key, value].map((heads) => after(heads, change)) as [Left, Left, Left]
  const set = (name: string, number: number) => {
    if (node.attributes.has(name)) node.attributes.set(name, { type: 'int', value: number })
  }
  set('num_heads', q.count)
  set('q_num_heads', q.count)
  set('kv_num_heads', k.count)
  if (q.size !== query.size && node.number('scale', 0) === 0)
    node.attributes.set('scale', { type: 'float', value: 1 / Math.sqrt(query.size) })
  if (query.role && (node.attributes.has('qkv_hidden_sizes') || q.size !== v.size)) {
    const sizes = [q, k, v].map(({ count, size }) => count * size)
    node.attributes.set('qkv_hidden_sizes', { type: 'ints', value: sizes })
  }
}

/** What is left of the heads of an operand. */
type Left = Pick<Heads, 'count' | 'size'>

function after(operand: Heads, { kept }: Change): Left {
  const { heads, width, count, size, offset } = operand
  const left = kept(heads.value, heads.axis)
  if (!isFlat(operand))
    return { count: left?.length ?? count, size: kept(width.value, width.axis)?.length ?? size }
  if (!left) return { count, size }
  const own = left.filter((index) => index >= offset && index < offset + count * size)
  const found = new Set(own.map((index) => Math.floor((index - offset) / size))).size
  return { count: found, size: own.length / found }
}
