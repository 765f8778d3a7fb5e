// How many channels of which group: all channels in one order, from the least important on, cut until a target holds.
import type { Group } from '../../channels/groups.ts'
import { type NormaliseName, normalisations } from './normalise.ts'
import { type GroupLimit, roundUp } from './rounding.ts'

/** How far channels are compared with each other; `row` is for weights alone. */
export const scopeNames = ['global', 'local', 'isomorphic', 'row'] as const

/** The name of a scope. */
export type ScopeName = (typeof scopeNames)[number]

/** How channels of different groups are compared and limited. */
export interface RankOptions {
  /**
   * `global` compares all scores; `local` gives every group the same share, whatever its scores; `isomorphic` compares
   * the groups of one topology, and gives every topology the same share (Fang et al. 2024, section 3.2).
   */
  readonly scope: ScopeName
  /** What is done to the scores of each group before they are compared with those of others. */
  readonly normalise: NormaliseName
  /** How far each group can be cut. */
  readonly limitOf: (group: Group) => GroupLimit
}

/** Channels in the order in which they go. */
export interface Ranking {
  /** How many could go at most. */
  readonly length: number
  /** How many of each group go when the first so many of the order do, after rounding. */
  counts(length: number): Map<Group, number>
  /** The groups that lose channels when the first so many go, the one that loses the last of them first. */
  lastCut(length: number): Group[]
  /** Counts with the least that can be given back to a group given back; undefined where it loses none. */
  giveBack(counts: ReadonlyMap<Group, number>, group: Group): Map<Group, number> | undefined
  /** The scores of the first so many channels of a group to go, as they are compared, added up. */
  lost(group: Group, count: number): number
  /** Which channels of each group go when so many do: the least important ones. */
  cuts(counts: ReadonlyMap<Group, number>): Map<Group, readonly number[]>
}

/** A channel in the order: the smallest keys go first, of equal ones the first place. */
interface Ranked {
  readonly group: Group
  readonly key: number
  readonly place: number
}

const byKey = (a: Ranked, b: Ranked): number => a.key - b.key || a.place - b.place

/** Orders the channels of groups by their scores. */
export function rankChannels(
  scores: ReadonlyMap<Group, Float64Array>,
  { scope, normalise, limitOf }: RankOptions,
): Ranking {
  const orders = new Map<Group, readonly number[]>()
  const all: Ranked[] = []
  for (const [group, own] of scores) {
    const compared = normalisations[normalise](own)
    const order = [...own.keys()].sort((a, b) => own[a]! - own[b]! || a - b)
    orders.set(group, order)
    for (const [place, channel] of order
      .slice(0, group.channels - limitOf(group).least)
      .entries()) {
      const key = scope === 'local' ? (place + 0.5) / group.channels : compared[channel]!
      all.push({ group, key, place: all.length })
    }
  }
  all.sort(byKey)
  if (scope === 'isomorphic') shareAlike(all, scores.keys())
  const sums = new Map<Group, number[]>()
  for (const { group, key } of all) {
    const own = sums.get(group) ?? [0]
    sums.set(group, own)
    own.push(own.at(-1)! + key)
  }

  return {
    length: all.length,
    counts(length) {
      const counts = new Map<Group, number>()
      for (const { group } of all.slice(0, length)) counts.set(group, (counts.get(group) ?? 0) + 1)
      for (const [group, count] of counts)
        counts.set(
          group,
          group.channels - roundUp(group.channels - count, limitOf(group).round, group.channels),
        )
      return counts
    },
    lastCut: (length) => [
      ...new Set(
        all
          .slice(0, length)
          .reverse()
          .map(({ group }) => group),
      ),
    ],
    giveBack(counts, group) {
      const count = counts.get(group) ?? 0
      if (count === 0) return undefined
      const left = roundUp(group.channels - count + 1, limitOf(group).round, group.channels)
      return new Map(counts).set(group, group.channels - left)
    },
    lost: (group, count) => sums.get(group)?.[count] ?? 0,
    cuts: (counts) =>
      new Map([...counts].map(([group, count]) => [group, orders.get(group)!.slice(0, count)])),
  }
}

/** Gives channels that are in order, in place, the share of their topology that goes before them as a new key. */
function shareAlike(all: Ranked[], groups: Iterable<Group>): void {
  const topologies = new Map<Group, string>()
  const totals = new Map<string, number>()
  for (const group of groups) {
    const topology = topologyOf(group)
    topologies.set(group, topology)
    totals.set(topology, (totals.get(topology) ?? 0) + group.channels)
  }
  const gone = new Map<string, number>()
  for (const [index, ranked] of all.entries()) {
    const topology = topologies.get(ranked.group)!
    const before = gone.get(topology) ?? 0
    gone.set(topology, before + 1)
    all[index] = { ...ranked, key: (before + 0.5) / totals.get(topology)! }
  }
  all.sort(byKey)
}

/** What a group looks like: the operators that its channels pass, and what their constants are to them. */
export const topologyOf = ({ parts }: Group): string =>
  parts
    .map(({ place: { node, role, value } }) =>
      role ? `${node?.opType ?? ''}.${role}` : (value.producer?.opType ?? ''),
    )
    .sort()
    .join()
