// Students that learn from each other (Zhang et al. 2018, deep mutual learning).
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, temperature, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { over, scaled, times } from './formulas.ts'
import { meanOfLabelledRows, meanOfRows } from './rows.ts'

/**
 * Σ over students i of the mean over the others j of T² KL(p_j ‖ p_i), p_j without gradient (Zhang et al. 2018,
 * equations 3–5), and for all but the first the cross-entropy with the labels, where there are labels.
 *
 * The first output is the student's, the others are those of its peers.
 */
export const mutual = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('mutual')
      .describe('KL divergence from the answers of peers that learn at the same time, times T².'),
    weight,
    temperature: temperature.default(1).describe('Temperature T of all softmaxes.'),
  }),
  comparesWith: ['labels', 'peers'],
  write(g, context, { temperature }) {
    const { outputs, logits, where } = context
    if (outputs.length < 2)
      throw new UserError(
        `${where}: 'mutual' needs peers: there are none — name them under 'peers'`,
      )
    const shape = shapeOf(logits())
    const T = context.number(temperature)
    const rows = outputs.map((output, index) => (index === 0 ? logits() : g.Reshape(output, shape)))
    const logs = rows.map((z) => g.LogSoftmax(over(g, z, T), { axis: -1 }))
    const fixed = logs.map((log) => context.detach(log))
    const divergence = (own: number, other: number): Value =>
      g.Mul(g.Exp(fixed[other]!), g.Sub(fixed[other]!, logs[own]!))
    const fromOthers = logs.map((_, own) => {
      const each = logs.flatMap((__, other) => (other === own ? [] : [divergence(own, other)]))
      return g.Mul(
        each.reduce((sum, term) => g.Add(sum, term)),
        1 / each.length,
      )
    })
    const taught = meanOfRows(
      g,
      context,
      fromOthers.reduce((sum, term) => g.Add(sum, term)),
    )
    const learned = rows.slice(1).map((z) => {
      const likelihood = g.Mul(context.targets(), g.LogSoftmax(z, { axis: -1 }))
      return g.Neg(meanOfLabelledRows(g, context, likelihood))
    })
    return learned.reduce((sum, term) => g.Add(sum, term), scaled(g, taught, times(g, T, T)))
  },
})
