// Gradients of operators that choose, repeat, divide or reorder elements by a fixed pattern.
import type { Value } from '../../onnx/graph.ts'
import { fill, type Rule, shapeOf, unary } from '../rule.ts'

/** Where: the gradient goes to the operand that was chosen. */
export const where: Rule = {
  broadcasts: true,
  gradients: ({ g, node, dy }) => {
    // Not Where again, which ONNX Runtime computes slowly.
    const first = g.Mul(dy, g.Cast(node.input(0), { to: 1 }))
    return [undefined, first, g.Sub(dy, first)]
  },
}

/** Expand: the gradients of all copies are summed where the rule is applied. */
export const expand: Rule = { broadcasts: true, gradients: ({ dy }) => [dy] }

/** Tile: the sum over the copies. */
export const tile: Rule = unary(({ g, x, y, dy }) => {
  const [from, to] = [shapeOf(x), shapeOf(y)]
  const dims: number[] = []
  const axes: number[] = []
  for (const [axis, size] of from.entries()) {
    const copies = size === 0 ? 1 : to[axis]! / size
    if (copies !== 1) axes.push(dims.push(copies) - 1)
    dims.push(size)
  }
  return axes.length === 0 ? dy : g.ReduceSum(g.Reshape(dy, dims), axes, { keepdims: 0 })
})

/** Split: the pieces' gradients joined, zeros for those on which nothing depends. */
export const split: Rule = unary(({ g, node, dys }) => {
  const pieces = node.outputs.map(
    (output, index): Value => dys[index] ?? fill(g, 0, shapeOf(output!)),
  )
  return g.node('Concat', pieces, { attributes: { axis: node.number('axis', 0) } })[0]!
})

/** DepthToSpace: the inverse permutation, which is SpaceToDepth for one of the two orders. */
export const depthToSpace: Rule = unary(({ g, node, x, dy }) => {
  const blocksize = node.number('blocksize', 1)
  if (node.string('mode', 'DCR') === 'DCR') return g.SpaceToDepth(dy, { blocksize })
  const shape = shapeOf(x)
  const [batch, channels, height, width] = shape as readonly [number, number, number, number]
  const blocks = g.Reshape(dy, [
    batch,
    channels / blocksize ** 2,
    height,
    blocksize,
    width,
    blocksize,
  ])
  return g.Reshape(g.Transpose(blocks, { perm: [0, 1, 3, 5, 2, 4] }), shape)
})

/** SpaceToDepth: the inverse permutation. */
export const spaceToDepth: Rule = unary(({ g, node, dy }) =>
  g.DepthToSpace(dy, { blocksize: node.number('blocksize', 1) }),
)

/** CumSum: an element is in all sums from its own on, so the gradients are summed from the other end. */
export const cumSum: Rule = unary(({ g, node, dy }) =>
  g.CumSum(dy, node.input(1), {
    exclusive: node.number('exclusive', 0),
    reverse: 1 - node.number('reverse', 0),
  }),
)

/** Trilu: the same triangle. */
export const trilu: Rule = unary(({ g, node, dy }) =>
  g.Trilu(dy, node.inputs[1], { upper: node.number('upper', 1) }),
)

/** ReverseSequence is its own inverse. */
export const reverseSequence: Rule = unary(({ g, node, dy }) =>
  g.ReverseSequence(dy, node.input(1), {
    batch_axis: node.number('batch_axis', 1),
    time_axis: node.number('time_axis', 0),
  }),
)
