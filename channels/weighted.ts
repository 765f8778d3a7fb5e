// Rules of the operators with weights: what makes channels, what takes them, and what has one number for each.

import type { Node } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import type { Rule } from './rule.ts'
import { axesOf, broadcastAxes, slot, type Tie, tie } from './ties.ts'

/** X `[N, C, …]`, W `[M, C / group, …]`, B `[M]`, Y `[N, M, …]`. */
export const convolution: Rule = {
  ties(node) {
    const [x, w, y] = [node.input(0), node.input(1), node.output()]
    const [made = 0, taken = 0] = statedShape(w) ?? []
    const group = node.number('group', 1)
    const ties = [tie(slot(x, 0), slot(y, 0)), tie(slot(y, 1), slot(w, 0), 'out'), ...bias(node)]
    if (group === 1) return { ties: [...ties, tie(slot(x, 1), slot(w, 1), 'in')] }
    const each = made / group
    // Depthwise: a channel leaves together with the filters that it has of its own.
    if (taken === 1)
      return {
        ties: [...ties, { from: slot(y, 1), to: slot(x, 1), map: (m) => Math.floor(m / each) }],
      }
    // The filters of all groups have one shape, so that every group loses the same channels.
    return {
      ties: [
        ...ties,
        { from: slot(x, 1), to: slot(w, 1), map: (c) => c % taken, role: 'in' },
        { from: slot(y, 1), to: slot(y, 1), map: (m) => m % each },
      ],
    }
  },
  adjust(node, { sizeOf }) {
    // The number of groups stays, except that a depthwise convolution has one for each channel.
    const group = node.attributes.get('group')
    if (group && node.number('group', 1) > 1 && sizeOf(node.input(1), 1) === 1)
      node.attributes.set('group', { type: 'int', value: sizeOf(node.input(0), 1) })
  },
}

/** X `[N, C, …]`, W `[C, M / group, …]`, B `[M]`, Y `[N, M, …]`. */
export const transposedConvolution: Rule = {
  ties(node) {
    const [x, w, y] = [node.input(0), node.input(1), node.output()]
    const [taken = 0, each = 0] = statedShape(w) ?? []
    const group = node.number('group', 1)
    const [channels, filters] = [slot(x, 1), slot(w, 0)]
    const ties = [tie(slot(x, 0), slot(y, 0)), ...bias(node)]
    // Depthwise: a channel leaves together with all that it makes.
    if (group > 1 && taken === group)
      return {
        ties: [
          ...ties,
          tie(channels, filters, 'out'),
          { from: slot(y, 1), to: channels, map: (m) => Math.floor(m / each) },
        ],
      }
    ties.push(tie(channels, filters, 'in'))
    if (group === 1) return { ties: [...ties, tie(slot(y, 1), slot(w, 1), 'out')] }
    // All groups make channels by one axis of the filters, and each takes as many.
    const own = taken / group
    return {
      ties: [
        ...ties,
        { from: slot(y, 1), to: slot(w, 1), map: (m) => m % each, role: 'out' },
        { from: channels, to: channels, map: (c) => c % own },
      ],
    }
  },
  adjust(node, { sizeBefore, sizeOf }) {
    const x = node.input(0)
    if (node.number('group', 1) > 1 && sizeBefore(x, 1) === node.number('group', 1))
      node.attributes.set('group', { type: 'int', value: sizeOf(x, 1) })
  },
}

/** The third input of a convolution, one element for each channel made; com.microsoft's FusedConv adds a fourth. */
const bias = (node: Node): Tie[] => [
  ...(node.inputs[2] ? [tie(slot(node.output(), 1), slot(node.input(2), 0), 'bias')] : []),
  ...(node.inputs[3] ? broadcastAxes(node.input(3), node.output(), 'bias') : []),
]

/** Y `[M, N]` = A' `[M, K]` B' `[K, N]` + C; A' and B' are stored transposed where the attributes say so. */
export const gemm: Rule = {
  ties(node) {
    const [a, b, y] = [node.input(0), node.input(1), node.output()]
    const [m, k] = node.number('transA', 0) ? [1, 0] : [0, 1]
    const [inner, n] = node.number('transB', 0) ? [1, 0] : [0, 1]
    return {
      ties: [
        tie(slot(y, 0), slot(a, m)),
        tie(slot(y, 1), slot(b, n), 'out'),
        tie(slot(a, k), slot(b, inner), 'in'),
        ...(node.inputs[2] ? broadcastAxes(node.input(2), y, 'bias') : []),
      ],
    }
  },
}

/**
 * Y `[…, M, N]` = A `[…, M, K]` B `[…, K, N]`, the leading axes broadcast; either may be the weight.
 *
 * com.microsoft's FusedMatMul may take either transposed.
 */
export const matMul: Rule = {
  ties(node) {
    const [a, b, y] = [node.input(0), node.input(1), node.output()]
    if (axesOf(a).length < 2 || axesOf(b).length < 2) return 'multiplies with a vector'
    if (node.number('transBatchA', 0) || node.number('transBatchB', 0)) return 'turns its batch'
    const [m, n] = [slot(y, -2), slot(y, -1)]
    const [rows, taken] = node.number('transA', 0) ? [-1, -2] : [-2, -1]
    const [inner, columns] = node.number('transB', 0) ? [-1, -2] : [-2, -1]
    const leading = [a, b].flatMap((value) =>
      broadcastAxes(value, y, 'out').filter(({ from }) => from.axis < m.axis),
    )
    // Whichever of the two is constant takes the channels, and its other axis makes them.
    return {
      ties: [
        ...leading,
        tie(m, slot(a, rows), 'out'),
        tie(n, slot(b, columns), 'out'),
        tie(slot(a, taken), slot(b, inner), 'in'),
        tie(slot(b, inner), slot(a, taken), 'in'),
      ],
    }
  },
}
