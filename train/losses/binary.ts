// Losses of outputs that are each a yes or no.
import { z } from 'zod'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { defineLoss, temperature, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { atLeastOne, float32, over, scaled, times, total } from './formulas.ts'

/** Mean of -w y log σ(z) - (1-y) log σ(-z), with log σ(z) = -softplus(-z). */
export const binaryCrossEntropy = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('binary-cross-entropy')
      .describe('Cross-entropy of yes or no for each output; targets are 0 to 1, below 0 unknown.'),
    weight,
    positiveWeight: z
      .number()
      .positive()
      .default(1)
      .describe('Weight of the ones, where they are rarer than the zeros.'),
  }),
  comparesWith: ['values'],
  write(g, { binaryLogits, values, classWeights }, { positiveWeight }) {
    const z = binaryLogits()
    const width = shapeOf(z)[1]!
    const known = g.Cast(g.GreaterOrEqual(values(), 0), { to: float32 })
    const y = g.Mul(values(), known)
    const yes = g.Mul(y, g.Softplus(g.Neg(z)))
    const no = g.Mul(g.Sub(known, y), g.Softplus(z))
    const both = g.Add(scaled(g, yes, positiveWeight), no)
    const weighted =
      classWeights?.length === width
        ? g.Mul(both, tensorOf('float32', [width], classWeights))
        : both
    return g.Div(total(g, weighted), atLeastOne(g, total(g, known)))
  },
})

/** T² mean of p (log p - log q) + (1-p) (log (1-p) - log (1-q)), p and q the sigmoids of the logits over T. */
export const klBinary = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('kl-binary')
      .describe("KL divergence from the teacher's yes or no for each output, times T²."),
    weight,
    temperature: temperature.default(2).describe('Temperature T of both sigmoids.'),
  }),
  comparesWith: ['teacher'],
  binary: () => true,
  write(g, context, { temperature }) {
    const z = context.binaryLogits()
    const T = context.number(temperature)
    const s = over(g, z, T)
    const t = over(g, g.Reshape(context.teacher(0), shapeOf(z)), T)
    const yes = g.Sub(g.Softplus(g.Neg(s)), g.Softplus(g.Neg(t)))
    const no = g.Sub(g.Softplus(s), g.Softplus(t))
    const divergence = g.Add(g.Mul(g.Sigmoid(t), yes), g.Mul(g.Sigmoid(g.Neg(t)), no))
    const mean = g.Mul(total(g, divergence), 1 / sizeOf(shapeOf(z)))
    return scaled(g, mean, times(g, T, T))
  },
})
