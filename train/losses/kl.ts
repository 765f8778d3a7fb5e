// Soft targets (Hinton, Vinyals and Dean 2015).
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, temperature, weight } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { atLeastOne, counting, over, scaled, times, total } from './formulas.ts'

/** T² Σ p (log p - log q), p = softmax(teacher/T), q = softmax(student/T) (Hinton et al. 2015, section 2.1). */
export const kl = defineLoss({
  options: z.strictObject({
    loss: z.literal('kl').describe("KL divergence from the teacher's softened outputs, times T²."),
    weight,
    temperature: temperature.default(4).describe('Temperature T of both softmaxes.'),
  }),
  comparesWith: ['teacher'],
  write(g, context, { temperature }) {
    const z = context.logits()
    const T = context.number(temperature)
    const student = g.LogSoftmax(over(g, z, T), { axis: -1 })
    const theirs = g.Reshape(context.teacher(0), shapeOf(z))
    const taught = g.LogSoftmax(over(g, theirs, T), { axis: -1 })
    const divergence = g.Mul(g.Exp(taught), g.Sub(taught, student))
    return scaled(g, meanOfRows(g, context, divergence), times(g, T, T))
  },
})

/** The sum of values of the shape of the logits over their rows that count. */
export function meanOfRows(g: Builder, context: LossContext, values: Value): Value {
  const { positions, labelled, targets, batch, importance } = context
  const weighted = scaled(g, values, importance() ?? 1)
  // A sample without a label has an answer of the teacher; a position that does not count has none.
  if (positions() === 1 || !labelled) return g.Mul(total(g, weighted), 1 / (batch * positions()))
  const counts = counting(g, targets())
  return g.Div(total(g, g.Mul(weighted, counts)), atLeastOne(g, total(g, counts)))
}
