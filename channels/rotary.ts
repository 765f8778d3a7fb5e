// Rules of rotary position embedding (Su et al. 2021), which turns pairs of elements of every head.

import type { Node } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import type { Rule } from './rule.ts'
import { axesOf, keptAxes, slot, type Tie, tie } from './ties.ts'

/**
 * Whole heads, or the same pair of every head together with its cosines and sines.
 *
 * X is `[batch, length, heads * size]` or `[batch, heads, length, size]`; the inputs from `tables` on are cosines and
 * sines `[…, size / 2]`.
 */
const turning = (tables: number): Rule => ({
  ties(node, { split }) {
    const [x, y] = [node.input(0), node.output()]
    const { size, half, isFlat } = sizesOf(node, tables)
    const last = slot(x, -1)
    const pair = (index: number) =>
      node.number('interleaved', 0) ? Math.floor((index % size) / 2) : (index % size) % half
    const firstOf = (index: number) => (node.number('interleaved', 0) ? 2 * index : index)
    const ties: Tie[] = keptAxes(node, (axis) => axis !== last.axis)
    const byWidth = !isFlat || split === 'width'
    // What lies behind the pairs stays as it is, but has no row in the tables.
    if (byWidth && 2 * half < size) return isFlat ? 'turns a part of every head' : { ties }
    ties.push(tie(last, slot(y, -1)))
    if (!byWidth)
      return { ties: [...ties, { from: last, to: last, map: (index) => index - (index % size) }] }
    const rows = [tables, tables + 1].map(
      (input): Tie => ({ from: last, to: slot(node.input(input), -1), map: pair, role: 'other' }),
    )
    return {
      ties: [...ties, { from: last, to: last, map: (index) => firstOf(pair(index)) }, ...rows],
    }
  },
  adjust(node, { kept, sizeBefore }) {
    const x = node.input(0)
    const heads = node.number('num_heads', 0)
    const left = kept(x, axesOf(x).length - 1)
    if (heads === 0 || axesOf(x).length !== 3 || !left) return
    const size = sizeBefore(x, 2) / heads
    const value = new Set(left.map((index) => Math.floor(index / size))).size
    node.attributes.set('num_heads', { type: 'int', value })
  },
})

function sizesOf(node: Node, tables: number) {
  const shape = statedShape(node.input(0)) ?? []
  const half = statedShape(node.input(tables))?.at(-1) ?? 0
  const isFlat = shape.length === 3
  const heads = node.number('num_heads', 0)
  const size = isFlat ? (heads ? shape[2]! / heads : 2 * half) : shape[3]!
  return { size, half, isFlat }
}

/** ONNX's own: X, cosines, sines, positions. */
export const rotaryEmbedding = turning(1)

/** com.microsoft: X, positions, cosines, sines. */
export const microsoftRotaryEmbedding = turning(2)
