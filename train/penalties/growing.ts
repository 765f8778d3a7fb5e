// Growing regularisation: the channels that are to go are pushed towards zero more and more, while the others learn to
// do without them.
import { z } from 'zod'
import { elements, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { total } from '../losses/formulas.ts'
import {
  definePenalty,
  factor,
  type PenalisedGroup,
  type PenaltyContext,
  penaltyLayers,
} from '../penalty.ts'
import { channelSquares } from './channel-squares.ts'

/**
 * λ/2 Σ w² over the least important channels, λ growing to a ceiling (Wang et al. 2021, GReg-1, section 3.2).
 *
 * Of every group the same share goes: the channels whose weights have the smallest absolute sum at the start.
 */
export const growing = definePenalty({
  options: z.strictObject({
    penalty: z
      .literal('growing')
      .describe('Squares of the weights of the channels that matter least, more and more.'),
    weight: factor
      .default({ from: 0, to: 1, shape: 'linear', start: 0, end: 0.8 })
      .describe('λ; the way from 0 to its ceiling.'),
    share: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.5)
      .describe('Share of the channels of each group that is pushed towards zero.'),
    layers: penaltyLayers,
  }),
  needsGroups: true,
  lacking: 'has no channels that can be cut and are trained — use l1',
  write: (g, context, { share }) =>
    context.groups.flatMap((group) => {
      const count = Math.min(group.channels - 1, Math.round(share * group.channels))
      const found = count > 0 ? channelSquares(g, group, context) : undefined
      if (!found) return []
      const flags = new Float32Array(group.channels)
      for (const channel of leastImportant(group, context).slice(0, count)) flags[channel] = 0.5
      const chosen = g.constant(tensorOf('float32', [group.channels], flags), 'pushed')
      return [total(g, g.Mul(found.squares, chosen))]
    }),
})

/** The channels by Σ |w| over the weights that make or take them, the smallest first. */
function leastImportant(
  { channels, slices }: PenalisedGroup,
  { value }: Pick<PenaltyContext, 'value'>,
): number[] {
  const sums = new Float64Array(channels)
  for (const { name, axis, role, indices } of slices) {
    const tensor = value(name)?.tensor
    if (tensor?.dtype !== 'float32' || (role !== 'out' && role !== 'in')) continue
    const weights = elements(tensor, 'float32')
    const stride = sizeOf(tensor.dims.slice(axis + 1))
    const period = stride * tensor.dims[axis]!
    for (const [channel, own] of indices.entries())
      for (const index of own)
        for (let start = index * stride; start < weights.length; start += period)
          for (let at = start; at < start + stride; at++) sums[channel]! += Math.abs(weights[at]!)
  }
  return [...sums.keys()].sort((a, b) => sums[a]! - sums[b]! || a - b)
}
