// Gradients of normalizations (Ioffe and Szegedy 2015; Ba, Kiros and Hinton 2016).
import type { Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { axisOf, optionalOutput, type Rule, type RuleContext, shapeOf, sumTo } from '../rule.ts'

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
  const factor = g.Mul(scale, inverse)
  const dScale = g.Mul(inverse, g.Sub(product, g.Mul(mean, gradient)))
  const dMean = g.Neg(g.Mul(factor, gradient))
  const dVariance = g.Mul(g.Mul(g.Mul(factor, inverse), dScale), -0.5)
  return [perChannel(context, dy, factor), dScale, gradient, dMean, dVariance]
}

// dx = a·dy + b·x + c with a = γ/σ, b = -a·dγ/(σM), c = -(a·dβ/M + b·μ): one pass over dy and one over x. Where the
// loss depends on the batch's statistics themselves (as a first gradient does), b also has 2dσ²/M and c also dμ/M.
function trainingForm(context: RuleContext) {
  const { g, node, x, dy, dys } = context
  const [scale, mean, variance] = [node.input(1), node.output(1), node.output(2)]
  const shape = shapeOf(x)
  const share = shape[1]! / sizeOf(shape)
  const inverse = g.Reciprocal(g.Sqrt(g.Add(variance, node.number('epsilon', 1e-5))))
  const { gradient, product } = sums(context)
  const dScale = g.Mul(inverse, g.Sub(product, g.Mul(mean, gradient)))
  const a = g.Mul(scale, inverse)
  const [, dMean, dVariance] = dys
  const slope = g.Mul(g.Mul(a, inverse), dScale)
  const b = g.Mul(dVariance ? g.Sub(g.Mul(dVariance, 2), slope) : g.Neg(slope), share)
  const level = g.Mul(a, gradient)
  const c = g.Sub(g.Mul(dMean ? g.Sub(dMean, level) : g.Neg(level), share), g.Mul(b, mean))
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
  const [zero, one] = [0, 1].map((value) =>
    tensorOf('float32', [channels], new Float32Array(channels).fill(value)),
  )
  return g.BatchNormalization(value, factor, offset ?? zero, zero, one, { epsilon: 0 })
}

/** A per-channel vector in a shape that broadcasts against x. */
function columns({ g, x }: RuleContext, vector: RuleContext['x']) {
  const shape = shapeOf(x)
  return g.Reshape(vector, [shape[1]!, ...shape.slice(2).map(() => 1)])
}

/**
 * y = γ·n + β with n = (x - μ)·r over the axes from `axis` on; μ and r are outputs 1 and 2, asked for if nobody has.
 *
 * dx = r(γdy - mean(γdy) - n·mean(γdy·n)), and where the loss depends on μ and r themselves (as a first gradient
 * does) also dμ/M - dr·r²·n/M.
 */
export const layerNormalization: Rule = {
  gradients: (context) => {
    const { g, node, x, dy, dys } = context
    const [scale, bias] = [node.input(1), node.inputs[2]]
    const shape = shapeOf(x)
    const first = axisOf(node.number('axis', -1), shape.length)
    const axes = [...shape.keys()].slice(first)
    const [mean, inverse] = [
      optionalOutput(g, node, 1, 'mean'),
      optionalOutput(g, node, 2, 'inverse'),
    ]
    const normal = g.Mul(g.Sub(x, mean), inverse)
    const scaled = g.Mul(dy, scale)
    const average = (value: Value) => g.ReduceMean(value, axes, { keepdims: 1 })
    const along = average(g.Mul(scaled, normal))
    const own = g.Mul(g.Sub(g.Sub(scaled, average(scaled)), g.Mul(normal, along)), inverse)
    const share = 1 / sizeOf(shape.slice(first))
    const [, dMean, dInverse] = dys
    const byMean = dMean ? g.Add(own, g.Mul(dMean, share)) : own
    const dx = dInverse
      ? g.Sub(byMean, g.Mul(g.Mul(g.Mul(dInverse, g.Mul(inverse, inverse)), share), normal))
      : byMean
    return [
      dx,
      sumTo(g, g.Mul(dy, normal), shape, shapeOf(scale)),
      bias && sumTo(g, dy, shape, shapeOf(bias)),
    ]
  },
}
