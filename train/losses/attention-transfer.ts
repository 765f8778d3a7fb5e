// Where a model looks: maps of how active its positions are (Zagoruyko and Komodakis 2017).
import { z } from 'zod'
import { defineLoss, pairOptions } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { squares } from './formulas.ts'
import { mapsOf, meanOf, unit } from './maps.ts'

/**
 * Mean over samples of ‖q_S/‖q_S‖ - q_T/‖q_T‖‖², q the mean over channels of |a|^p at each position (equation 2, with
 * the square of its norm as in the authors' code: the norm has no gradient where maps are equal).
 */
export const attentionTransfer = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('attention-transfer')
      .describe(
        "Distance of the maps of |activation|^p over an image's (or a sequence's) positions, each of length 1.",
      ),
    ...pairOptions,
    power: z.number().min(1).default(2).describe('The power p of the activations.'),
  }),
  comparesWith: [],
  write(g, context, options) {
    const { power } = options
    const attention = (value: ReturnType<typeof g.Mul>) => {
      const { value: maps, channelAxis, positionAxis } = mapsOf(g, context, value, options.loss)
      const size = power === 2 ? g.Mul(maps, maps) : g.Abs(maps)
      const raised = power === 1 || power === 2 ? size : g.Pow(size, power)
      const mean = g.ReduceMean(raised, [channelAxis], { keepdims: 1 })
      // Maps are themselves powers, and small where activations are.
      return unit(g, mean, positionAxis, 1e-12)
    }
    const terms = context
      .pairs(options, 'positions', options.loss)
      .map(({ student, teacher }) =>
        g.Mul(squares(g, g.Sub(attention(student), attention(teacher))), 1 / shapeOf(teacher)[0]!),
      )
    return meanOf(g, terms)
  },
})
