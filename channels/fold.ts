// A number for each channel of a group, folded over the elements of all constants that would be cut with it.
import { elements, sizeOf } from '../onnx/tensor.ts'
import type { Group, Part } from './groups.ts'
import type { Role } from './ties.ts'

/** Takes one more element, and its companion, into a sum. */
export type Fold = (sum: number, weight: number, companion: number) => number

/**
 * Folds the float32 constants of the given roles, channel by channel, from zero on.
 *
 * Where there are companions (gradients), by the name of the initializer, constants without any are left out; without
 * them the companion is always 0.
 */
export function foldChannels(
  group: Group,
  roles: readonly Role[],
  fold: Fold,
  companions?: ReadonlyMap<string, Float32Array>,
): Float64Array {
  const sums = new Float64Array(group.channels)
  for (const part of group.parts)
    if (part.place.role && roles.includes(part.place.role)) foldPart(sums, part, fold, companions)
  return sums
}

function foldPart(
  sums: Float64Array,
  { place: { value, axis }, indices }: Part,
  fold: Fold,
  companions: ReadonlyMap<string, Float32Array> | undefined,
): void {
  const { tensor } = value
  if (tensor?.dtype !== 'float32') return
  const companion = companions?.get(value.name)
  if (companions && !companion) return
  const weights = elements(tensor, 'float32')
  const stride = sizeOf(tensor.dims.slice(axis + 1))
  const period = stride * tensor.dims[axis]!
  for (const [channel, own] of indices.entries()) {
    let sum = sums[channel]!
    for (const index of own)
      for (let start = index * stride; start < weights.length; start += period)
        for (let at = start; at < start + stride; at++)
          sum = fold(sum, weights[at]!, companion?.[at] ?? 0)
    sums[channel] = sum
  }
}
