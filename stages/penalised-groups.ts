// The channels that a training may push towards zero, as plain slices of weights: what can be cut afterwards.
import { channelGroups } from '../channels/groups.ts'
import { prepareChannels } from '../channels/prepare.ts'
import type { Model } from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import type { ChannelSlice, PenalisedGroup } from '../train/penalty.ts'

/** What of a channel becomes small: not what was measured of it, as the running statistics of a norm. */
const roles = ['out', 'in', 'scale', 'bias'] as const

/** Finds the channel groups of a model that can be cut; `dims` are sizes for free dimensions (see `fixDims`). */
export async function penalisedGroups(
  model: Model,
  dims: Readonly<Record<string, number>> = {},
): Promise<PenalisedGroup[]> {
  const prepared = await prepareChannels(model, 'penalties', dims)
  return channelGroups(prepared)
    .filter(({ prunable }) => prunable === true)
    .map(({ producers, channels, parts }) => ({
      producers: producers.map(layerName),
      channels,
      slices: parts.flatMap(({ place: { value, axis, role }, indices }): ChannelSlice[] => {
        const known = roles.find((each) => each === role)
        const isFloat = value.tensor?.dtype === 'float32'
        return known && isFloat ? [{ name: value.name, axis, role: known, indices }] : []
      }),
    }))
}
