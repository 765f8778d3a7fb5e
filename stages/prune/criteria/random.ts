// Random scores, which say what a criterion is worth.
import { random } from '../../../base/random.ts'
import type { Criterion } from './criterion.ts'

/** A random number for each channel or weight, by seed and name: no order of groups changes them. */
export const randomly = {
  channels: ({ groups, context: { seed } }) =>
    new Map(
      groups.map((group) => {
        const { uniform } = random(seed, 'prune', group.name)
        return [group, Float64Array.from({ length: group.channels }, uniform)]
      }),
    ),
  weights: ({ values, context: { seed } }) =>
    new Map(
      values.map((value) => {
        const { uniform } = random(seed, 'prune', value.name)
        return [value, Float32Array.from({ length: value.tensor!.size }, uniform)]
      }),
    ),
} as const satisfies Pick<Criterion, 'channels' | 'weights'>
