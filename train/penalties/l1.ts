// The lasso on single weights: those that the loss does not need become small.
import { z } from 'zod'
import { total } from '../losses/formulas.ts'
import { definePenalty, factor, penaltyLayers } from '../penalty.ts'

/** λ Σ |w| over matrices and kernels (Tibshirani 1996); biases and norms are left alone. */
export const l1 = definePenalty({
  options: z.strictObject({
    penalty: z.literal('l1').describe('Sum of the absolute values of all weights.'),
    weight: factor.default(1e-5).describe('λ; a number, or a way from one to another.'),
    layers: penaltyLayers,
  }),
  needsGroups: false,
  lacking:
    'has no float32 matrices or kernels that are trained — name other layers, or freeze less',
  write(g, { layers, learns }) {
    const weights = layers
      .flatMap(({ inputs }) => inputs.filter(learns))
      .filter(({ tensor }) => tensor!.dims.length > 1)
    return [...new Set(weights)].map((weight) => total(g, g.Abs(weight)))
  },
})
