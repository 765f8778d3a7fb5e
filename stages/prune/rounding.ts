// How far groups of channels can be cut: the least that remains of each, and the multiples that counts are rounded to.
import { select } from '../../base/selectors.ts'
import type { Group } from '../../channels/groups.ts'
import { layerName } from '../../onnx/layers.ts'
import type { AmountOptions } from './amount.ts'

/** How far a group can be cut. */
export interface GroupLimit {
  /** Channels that remain at least, 1 or more. */
  readonly least: number
  /** Counts that remain are multiples of this, where the group has so many channels. */
  readonly round: number
}

/** The next multiple, but no more than there are. */
export const roundUp = (count: number, multiple: number, most: number): number =>
  Math.min(most, Math.ceil(count / multiple) * multiple)

/** Least share of the channels of a group that remains, where nothing is said. */
const defaultKeep = 0.1

/**
 * Says how far each group can be cut by `keep`, `round` and `limits`; of several limits that name a layer of a group,
 * the last one counts.
 *
 * `round` is what groups are rounded to that no limit says it of. `channelsOf` gives the channels that a group had
 * before any cut, of which `keep` is a share. A selector that names no layer is a `UserError`.
 */
export function limitsOf(
  groups: readonly Group[],
  { keep = defaultKeep, limits = {} }: Pick<AmountOptions, 'keep' | 'limits'>,
  round: (group: Group) => number,
  channelsOf: (group: Group) => number = ({ channels }) => channels,
): (group: Group) => GroupLimit {
  const nodes = [...new Set(groups.flatMap(({ producers }) => producers))]
  const named = nodes.map((node) => ({ node, name: layerName(node), opType: node.opType }))
  const own = Object.entries(limits).map(([selector, limit]) => ({
    limit,
    nodes: new Set(select(named, [selector], 'limits').map(({ node }) => node)),
  }))
  const found = new Map(
    groups.map((group) => {
      const limit = own.reduce<{ keep?: number | undefined; round?: number | undefined }>(
        (sum, { limit: next, nodes: meant }) =>
          group.producers.some((node) => meant.has(node))
            ? { keep: next.keep ?? sum.keep, round: next.round ?? sum.round }
            : sum,
        {},
      )
      const least = Math.max(1, Math.ceil((limit.keep ?? keep) * channelsOf(group) - 1e-9))
      return [group, { least, round: limit.round ?? round(group) }] as const
    }),
  )
  return (group) => {
    const limit = found.get(group)
    if (!limit) throw new Error(`internal: no limit for group '${group.name}'`)
    return limit
  }
}
