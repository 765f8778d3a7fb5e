// Targets: what is counted to say how much of a model is left. A new one is a row of this table.
import {
  type Counts,
  forecastConstantBytes,
  forecastMacs,
  forecastParameters,
} from '../../channels/forecast.ts'
import type { Group } from '../../channels/groups.ts'
import { restoreInterface } from '../../channels/prepare.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { countMacs } from '../../onnx/multiplications.ts'
import { serializeModel } from '../../onnx/save.ts'
import type { TargetKey } from './amount.ts'

/** What a cut is compared with. */
export interface Compared {
  /** The model whose groups are cut, prepared. */
  readonly model: Model
  readonly groups: readonly Group[]
  /** How many channels a group had before any cut. */
  channelsBefore(group: Group): number
  /** The model before any cut, as it was given. */
  readonly original: Model
  /** The same, prepared. */
  readonly full: Model
}

/** Gives the share, 0..1, that a cut would leave; undefined where it cannot be counted for the model. */
type Target = (compared: Compared) => ((counts: Counts) => number) | undefined

/** Targets that are counted, by their key in the options; latency is measured (`latency.ts`). */
export const targets = {
  macs: ({ model, full }) => {
    const before = countMacs(full)
    const after = forecastMacs(model)
    return before && after ? (counts) => after(counts) / before : undefined
  },
  parameters: ({ model, full }) => {
    const before = forecastParameters(full)(new Map())
    const after = forecastParameters(model)
    return (counts) => after(counts) / before
  },
  bytes: ({ model, original }) => {
    const before = serializeModel(original).length
    const now = cloneModel(model)
    restoreInterface(now, original)
    const after = forecastConstantBytes(model)
    const around = serializeModel(now).length - after(new Map())
    return (counts) => (around + after(counts)) / before
  },
  sparsity: ({ groups, channelsBefore }) => {
    const before = groups.reduce((sum, group) => sum + channelsBefore(group), 0)
    const now = groups.reduce((sum, group) => sum + group.channels, 0)
    return (counts) => (now - sumOf(counts)) / before
  },
} as const satisfies Record<Exclude<TargetKey, 'latency'>, Target>

/** How many channels a cut takes. */
export const sumOf = (counts: Counts): number =>
  [...counts.values()].reduce((sum, count) => sum + count, 0)
