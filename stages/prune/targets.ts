// Targets: what is counted to say how much of a model is left. A new one is a row of this table.
import { type Counts, macsAfter, parametersAfter } from '../../channels/forecast.ts'
import type { Group } from '../../channels/groups.ts'
import type { Model } from '../../onnx/graph.ts'

/** Gives the share, 0..1, that a cut would leave; undefined where it cannot be counted for the model. */
type Target = (model: Model, groups: readonly Group[]) => ((counts: Counts) => number) | undefined

/** Targets by their key in the options. */
export const targets = {
  macs: (model) => {
    const before = macsAfter(model, new Map())
    return before ? (counts) => macsAfter(model, counts)! / before : undefined
  },
  parameters: (model) => {
    const before = parametersAfter(model, new Map())
    return (counts) => parametersAfter(model, counts) / before
  },
  sparsity: (_, groups) => {
    const before = groups.reduce((sum, group) => sum + group.channels, 0)
    return (counts) => 1 - sumOf(counts) / before
  },
} as const satisfies Record<string, Target>

/** How many channels a cut takes. */
export const sumOf = (counts: Counts): number =>
  [...counts.values()].reduce((sum, count) => sum + count, 0)
