// Channel-wise distillation (Shu et al. 2021): where each channel is active, as a distribution over the positions.
import { z } from 'zod'
import { defineLoss, pairOptions, temperature } from '../loss.ts'
import { over, scaled, times, total } from './formulas.ts'
import { mapsOf, meanOf } from './maps.ts'

/**
 * T² times the mean over samples and channels of Σ over positions of p (log p - log q), p = softmax(teacher/T) and
 * q = softmax(student/T) along the positions of a channel (section 3).
 */
export const cwd = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('cwd')
      .describe(
        'Channel-wise distillation: KL divergence of where each channel of an image (or a sequence) is active.',
      ),
    ...pairOptions,
    temperature: temperature.default(4).describe('Temperature T of both softmaxes.'),
  }),
  comparesWith: [],
  write(g, context, options) {
    const T = context.number(options.temperature)
    const terms = context.pairs(options, 'all', options.loss).map(({ student, teacher }) => {
      const maps = mapsOf(g, context, student, options.loss)
      const axis = maps.positionAxis
      const q = g.LogSoftmax(over(g, maps.value, T), { axis })
      const theirs = mapsOf(g, context, teacher, options.loss)
      const p = g.LogSoftmax(over(g, theirs.value, T), { axis })
      const divergence = total(g, g.Mul(g.Exp(p), g.Sub(p, q)))
      return g.Mul(divergence, 1 / (maps.samples * maps.channels))
    })
    return scaled(g, meanOf(g, terms), times(g, T, T))
  },
})
