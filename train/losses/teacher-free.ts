// Distillation without a teacher (Yuan, Tay, Li, Wang and Feng 2020): a virtual one that is always right.
import { z } from 'zod'
import { defineLoss, temperature, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { counting, scaled, times } from './formulas.ts'
import { divergence, meanOfLabelledRows } from './rows.ts'

/**
 * T² KL(p || softmax(z/T)), p the softened answer of a virtual teacher that gives the label the share a and each other
 * class (1 - a)/(K - 1) (Yuan et al. 2020, their Tf-KD_reg; the factor T² as in Hinton et al. 2015, so that the weight
 * need not follow the temperature). Softened means p^(1/T) over its sum.
 *
 * Of a mixture of labels the logarithms of the answers are mixed. Rows without a label do not count.
 */
export const teacherFree = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('teacher-free')
      .describe(
        'KL divergence from a virtual teacher that is always right, softened, times T²; needs labels and no teacher.',
      ),
    weight,
    share: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.99)
      .describe('What the virtual teacher gives the label; the rest goes to the other classes.'),
    temperature: temperature.default(20).describe('Temperature T of both softmaxes.'),
  }),
  comparesWith: ['labels'],
  write(g, context, { share, temperature }) {
    const z = context.logits()
    const classes = shapeOf(z)[1]!
    const T = context.number(temperature)
    const virtual = g.Mul(context.targets(), Math.log((share * (classes - 1)) / (1 - share)))
    const rows = divergence(g, virtual, z, T)
    const some = context.positions() > 1 || context.unlabelled
    const labelled = some ? g.Mul(rows, counting(g, context.targets())) : rows
    return scaled(g, meanOfLabelledRows(g, context, labelled), times(g, T, T))
  },
})
