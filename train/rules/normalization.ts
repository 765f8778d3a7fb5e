// Gradients of normalizations (Ioffe and Szegedy 2015).
import { sizeOf } from '../../onnx/tensor.ts'
import { type Rule, type RuleContext, shapeOf } from '../rule.ts'

/**
 * y = γ(x - μ)/√(σ² + ε) + β per channel.
 *
 * At inference μ and σ² are constants. In training form they are the batch's own, outputs 1 and 2 of the node, which
 * train/training-form.ts asks for by setting `momentum` to 0.
 */
export const batchNormalization: Rule = {
  gradients: (context) =>
    context.node.number('training_mode', 0) ? trainingForm(context) : inferenceForm(context),
}

function sums({ g, x, dy }: RuleContext) {
  const axes = shapeOf(x).flatMap((_, axis) => (axis === 1 ? [] : [axis]))
  return {
    gradient: g.ReduceSum(dy, axes, { keepdims: 0 }),
    product: g.ReduceSum(g.Mul(dy, x), axes, { keepdims: 0 }),
  }
}

function inferenceForm(context: RuleContext) {
  const { g, node, dy } = context
  const [scale, mean, variance] = [node.input(1), node.input(3), node.input(4)]
  const inverse = g.Reciprocal(g.Sqrt(g.Add(variance, node.number('epsilon', 1e-5))))
  const { gradient, product } = sums(context)
  return [
    perChannel(context, dy, g.Mul(scale, inverse)),
    g.Mul(inverse, g.Sub(product, g.Mul(mean, gradient))),
    gradient,
  ]
}

// dx = a·dy + b·x + c with a = γ/σ, b = -a·dγ/(σM), c = -(a·dβ/M + b·μ): one pass over dy and one over x.
function trainingForm(context: RuleContext) {
  const { g, node, x, dy } = context
  const [scale, mean, variance] = [node.input(1), node.output(1), node.output(2)]
  const shape = shapeOf(x)
  const share = shape[1]! / sizeOf(shape)
  const inverse = g.Reciprocal(g.Sqrt(g.Add(variance, node.number('epsilon', 1e-5))))
  const { gradient, product } = sums(context)
  const dScale = g.Mul(inverse, g.Sub(product, g.Mul(mean, gradient)))
  const a = g.Mul(scale, inverse)
  const b = g.Neg(g.Mul(g.Mul(g.Mul(a, inverse), dScale), share))
  const c = g.Neg(g.Add(g.Mul(g.Mul(a, gradient), share), g.Mul(b, mean)))
  const dx = g.Add(perChannel(context, dy, a, c), g.Mul(x, columns(context, b)))
  return [dx, dScale, gradient]
}

/** value · factor + offset per channel, in the one pass that ONNX Runtime's own inference form takes. */
function perChannel(
  { g, x }: RuleContext,
  value: RuleContext['x'],
  factor: RuleContext['x'],
  offset?: RuleContext['x'],
) {
  const channels = shapeOf(x)[1]!
  const zero = g.Expand(0, [channels])
  const one = g.Expand(1, [channels])
  return g.BatchNormalization(value, factor, offset ?? zero, zero, one, { epsilon: 0 })
}

/** A per-channel vector in a shape that broadcasts against x. */
function columns({ g, x }: RuleContext, vector: RuleContext['x']) {
  const shape = shapeOf(x)
  return g.Reshape(vector, [shape[1]!, ...shape.slice(2).map(() => 1)])
}
