// Gradients of reductions over axes.
import {
  axisOf,
  constantInput,
  type Rule,
  type RuleContext,
  shapeOf,
  step,
  unary,
} from '../rule.ts'

/** What a reduction's rule sees: `y` and `dy` in a shape that broadcasts against x, and the axes that are reduced. */
export type ReductionContext = Pick<RuleContext, 'g' | 'x' | 'y' | 'dy'> & {
  readonly axes: readonly number[]
}

/** A rule for a reduction with the axes as second input. */
export const reduction = (gradient: (context: ReductionContext) => RuleContext['x']): Rule =>
  unary(({ g, node, x, y, dy }) => {
    const shape = shapeOf(x)
    const given = constantInput(node, 1) ?? []
    // No axes at all make a reduction of each element by itself.
    const none = node.number('noop_with_empty_axes', 0) !== 0
    const axes =
      given.length || none ? given.map((axis) => axisOf(axis, shape.length)) : [...shape.keys()]
    const kept = shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    return gradient({ g, x, y: g.Reshape(y, kept), dy: g.Reshape(dy, kept), axes })
  })

/** ReduceMax and ReduceMin: the gradient goes to the largest (smallest) element; equal ones share it. */
export const reducedExtremum = (
  distance: (context: Pick<RuleContext, 'g' | 'x' | 'y'>) => RuleContext['x'],
): Rule =>
  reduction(({ g, x, y, dy, axes }) => {
    if (axes.length === 0) return dy
    const chosen = g.Sub(1, step(g, distance({ g, x, y })))
    return g.Mul(g.Div(dy, g.ReduceSum(chosen, axes, { keepdims: 1 })), chosen)
  })

/** ReduceProd: each element gets the product of the others, which a quotient gives where none of them is 0. */
export const product: Rule = reduction(({ g, x, dy, axes }) => {
  if (axes.length === 0) return dy
  const zero = g.Sub(1, step(g, g.Abs(x)))
  const others = g.Sub(g.ReduceSum(zero, axes, { keepdims: 1 }), zero)
  const nonzero = g.Add(x, zero)
  const quotient = g.Div(g.ReduceProd(nonzero, axes, { keepdims: 1 }), nonzero)
  return g.Mul(g.Mul(dy, quotient), g.Sub(1, step(g, others)))
})
