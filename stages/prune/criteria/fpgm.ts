// Filters near the geometric median of a layer can be made up for by the others.
import { UserError } from '../../../base/errors.ts'
import type { Part } from '../../../channels/groups.ts'
import { elements, sizeOf } from '../../../onnx/tensor.ts'
import { aggregated, unitsOf } from '../aggregate.ts'
import type { ScoreChannels } from './criterion.ts'

/**
 * Σ ‖F - F′‖ over all other filters of the layer (He et al. 2019, equation 4), a filter being all the weights that make a
 * channel.
 */
export const fpgm: ScoreChannels = ({ groups, aggregate }) =>
  new Map(
    groups.map((group) => {
      const makers = group.parts.filter(
        ({ place: { role, value } }) => role === 'out' && value.tensor?.dtype === 'float32',
      )
      if (makers.length === 0)
        throw new UserError(
          `criterion: '${group.name}' has no float32 weights — leave the layer out with exclude`,
        )
      const units = unitsOf(makers, aggregate).map((parts) =>
        distances(filtersOf(parts, group.channels)),
      )
      return [group, aggregated(units, group.channels, aggregate)]
    }),
  )

/** All weights that make each channel, one after the other. */
function filtersOf(parts: readonly Part[], channels: number): Float64Array[] {
  const lengths = parts.map(
    ({ place: { value, axis }, indices }) =>
      (value.tensor!.size / value.tensor!.dims[axis]!) * indices[0]!.length,
  )
  const length = lengths.reduce((sum, own) => sum + own, 0)
  return Array.from({ length: channels }, (_, channel) => {
    const filter = new Float64Array(length)
    let at = 0
    for (const { place, indices } of parts) {
      const tensor = place.value.tensor!
      const weights = elements(tensor, 'float32')
      const stride = sizeOf(tensor.dims.slice(place.axis + 1))
      const period = stride * tensor.dims[place.axis]!
      for (const index of indices[channel]!)
        for (let start = index * stride; start < weights.length; start += period) {
          filter.set(weights.subarray(start, start + stride), at)
          at += stride
        }
    }
    return filter
  })
}

/** The sum of the distances of each vector to all others. */
function distances(vectors: readonly Float64Array[]): Float64Array {
  const sums = new Float64Array(vectors.length)
  for (const [one, a] of vectors.entries())
    for (let other = one + 1; other < vectors.length; other++) {
      const b = vectors[other]!
      let sum = 0
      for (let at = 0; at < a.length; at++) sum += (a[at]! - b[at]!) ** 2
      const distance = Math.sqrt(sum)
      sums[one]! += distance
      sums[other]! += distance
    }
  return sums
}
