// How important each channel of a group is: a criterion, folded over all the weights that would be cut with it.
import { foldChannels } from '../../channels/fold.ts'
import type { Group } from '../../channels/groups.ts'
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
  { roles, add, finish, needsGradients }: Criterion,
  batches: readonly Gradients[] = [],
): Float64Array {
  if (!needsGradients) return foldChannels(group, roles, add).map(finish)
  const total = new Float64Array(group.channels)
  for (const gradients of batches)
    for (const [channel, sum] of foldChannels(group, roles, add, gradients).entries())
      total[channel]! += finish(sum)
  return total
}
