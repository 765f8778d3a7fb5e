// Network slimming: the scale of a BatchNormalization says how much a channel counts.
import { z } from 'zod'
import { total } from '../losses/formulas.ts'
import { definePenalty, factor, penaltyLayers } from '../penalty.ts'

/** λ Σ |γ| over the scales of BatchNormalization (Liu et al. 2017, equation 1). */
export const slimming = definePenalty({
  options: z.strictObject({
    penalty: z.literal('slimming').describe('Sum of the absolute scales of BatchNormalization.'),
    weight: factor.default(1e-4).describe('λ; a number, or a way from one to another.'),
    layers: penaltyLayers,
  }),
  needsGroups: false,
  lacking:
    "has no BatchNormalization that is trained (exports often fold it into the convolutions) — use 'group-lasso'",
  write(g, { layers, learns }) {
    const scales = layers
      .filter(({ opType }) => opType === 'BatchNormalization')
      .map(({ inputs }) => inputs[1])
      .filter(learns)
    return [...new Set(scales)].map((scale) => total(g, g.Abs(scale)))
  },
})
