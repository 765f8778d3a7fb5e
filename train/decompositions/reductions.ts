// Reductions as formulas.

import type { Decomposition } from '../decompose.ts'
import { constantInput } from '../rule.ts'

/** ln Σx */
export const reduceLogSum: Decomposition = ({ g, node, x }) => {
  const keepdims = node.number('keepdims', 1)
  const noop_with_empty_axes = node.number('noop_with_empty_axes', 0)
  const axes = constantInput(node, 1)
  return [g.Log(g.ReduceSum(x, axes, { keepdims, noop_with_empty_axes }))]
}
