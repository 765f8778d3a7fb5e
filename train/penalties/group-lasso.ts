// The group lasso: whole channels become small, with everything that makes and takes them.
import { z } from 'zod'
import { total } from '../losses/formulas.ts'
import { definePenalty, factor, penaltyLayers } from '../penalty.ts'
import { channelSquares } from './channel-squares.ts'

/** Added below the root: the norm of a channel that is zero has the gradient 0. */
const tiny = 1e-12

/**
 * λ Σ_g √n_g ‖w_g‖ over channels g of n_g weights (Yuan and Lin 2006; Wen et al. 2016, equation 4), a channel being all
 * that would be cut with it.
 */
export const groupLasso = definePenalty({
  options: z.strictObject({
    penalty: z
      .literal('group-lasso')
      .describe('Sum of the norms of all channels, times the roots of their sizes.'),
    weight: factor.default(1e-4).describe('λ; a number, or a way from one to another.'),
    layers: penaltyLayers,
  }),
  needsGroups: true,
  lacking: 'has no channels that can be cut and are trained — use l1',
  write: (g, context) =>
    context.groups.flatMap((group) => {
      const found = channelSquares(g, group, context)
      if (!found) return []
      const norms = total(g, g.Sqrt(g.Add(found.squares, tiny)))
      return [g.Mul(norms, Math.sqrt(found.weights))]
    }),
})
