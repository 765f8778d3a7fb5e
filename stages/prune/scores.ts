// How important each channel of a group is: a criterion, folded over all the weights that would be cut with it.
import type { Group, Part } from '../../channels/groups.ts'
import { elements, sizeOf } from '../../onnx/tensor.ts'
import type { Criterion } from './criteria.ts'

/** Gradients by the name of the initializer. */
export type Gradients = ReadonlyMap<string, Float32Array>

/**
 * The score of every channel of a group; the lowest are the least important.
 *
 * A criterion that needs gradients gets those of several batches, whose scores are added up.
 */
export function channelScores(
  group: Group,
  criterion: Criterion,
  batches: readonly Gradients[] = [],
): Float64Array {
  if (!criterion.needsGradients) return scoresOf(group, criterion, undefined)
  const total = new Float64Array(group.channels)
  for (const gradients of batches)
    for (const [channel, score] of scoresOf(group, criterion, gradients).entries())
      total[channel]! += score
  return total
}

function scoresOf(
  group: Group,
  criterion: Criterion,
  gradients: Gradients | undefined,
): Float64Array {
  const sums = new Float64Array(group.channels)
  for (const part of group.parts)
    if (part.place.role && criterion.roles.includes(part.place.role))
      addPart(sums, part, criterion, gradients)
  return sums.map(criterion.finish)
}

function addPart(
  sums: Float64Array,
  { place: { value, axis }, indices }: Part,
  { add, needsGradients }: Criterion,
  gradients: Gradients | undefined,
): void {
  const { tensor } = value
  if (tensor?.dtype !== 'float32') return
  const weights = elements(tensor, 'float32')
  const gradient = needsGradients ? gradients?.get(value.name) : undefined
  if (needsGradients && !gradient) return
  const stride = sizeOf(tensor.dims.slice(axis + 1))
  const period = stride * tensor.dims[axis]!
  for (const [channel, own] of indices.entries()) {
    let sum = sums[channel]!
    for (const index of own)
      for (let start = index * stride; start < weights.length; start += period)
        for (let at = start; at < start + stride; at++)
          sum = add(sum, weights[at]!, gradient?.[at] ?? 0)
    sums[channel] = sum
  }
}
