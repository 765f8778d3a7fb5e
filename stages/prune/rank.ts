// How many channels of which group: all channels in one order, from the least important on, cut until a target holds.
import type { Group } from '../../channels/groups.ts'

/** How channels of different groups are compared and limited. */
export interface RankOptions {
  /** `local` gives every group the same share, whatever its scores. */
  readonly scope: 'global' | 'local'
  /** `mean` divides the scores of each group by their mean. */
  readonly normalise: 'mean' | 'none'
  /** Counts that remain are multiples of this. */
  readonly round: number
  /** Least share of each group that remains, 0..1; one channel always does. */
  readonly keep: number
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
  /** Which channels of each group go when so many do: the least important ones. */
  cuts(counts: ReadonlyMap<Group, number>): Map<Group, readonly number[]>
}

/** Orders the channels of groups by their scores. */
export function rankChannels(
  scores: ReadonlyMap<Group, Float64Array>,
  { scope, normalise, round, keep }: RankOptions,
): Ranking {
  const orders = new Map<Group, readonly number[]>()
  const all: { readonly group: Group; readonly key: number; readonly place: number }[] = []
  for (const [group, own] of scores) {
    const order = [...own.keys()].sort((a, b) => own[a]! - own[b]! || a - b)
    orders.set(group, order)
    const mean = own.reduce((sum, score) => sum + score, 0) / own.length
    // A group whose scores are all zero stays at zero.
    const unit = normalise === 'mean' && mean > 0 ? mean : 1
    const least = Math.max(1, Math.ceil(keep * group.channels))
    for (const [place, channel] of order.slice(0, group.channels - least).entries()) {
      const key = scope === 'local' ? (place + 0.5) / group.channels : own[channel]! / unit
      all.push({ group, key, place: all.length })
    }
  }
  all.sort((a, b) => a.key - b.key || a.place - b.place)

  return {
    length: all.length,
    counts(length) {
      const counts = new Map<Group, number>()
      for (const { group } of all.slice(0, length)) counts.set(group, (counts.get(group) ?? 0) + 1)
      for (const [group, count] of counts)
        counts.set(group, group.channels - roundUp(group.channels - count, round, group.channels))
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
      const left = roundUp(group.channels - count + 1, round, group.channels)
      return new Map(counts).set(group, group.channels - left)
    },
    cuts: (counts) =>
      new Map([...counts].map(([group, count]) => [group, orders.get(group)!.slice(0, count)])),
  }
}

/** The next multiple, but no more than there are. */
const roundUp = (count: number, multiple: number, most: number): number =>
  Math.min(most, Math.ceil(count / multiple) * multiple)

/**
 * Cuts from the front of the ranking until a test holds that stays true once it does; undefined where it never does.
 *
 * One channel can be much work, so what was cut last overshoots: whatever can be given back without failing the test
 * is given back, group by group, the last cut first.
 */
export function cutUntil(
  ranking: Ranking,
  holds: (counts: ReadonlyMap<Group, number>) => boolean,
): Map<Group, number> | undefined {
  let [low, high] = [0, ranking.length]
  if (!holds(ranking.counts(high))) return undefined
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(ranking.counts(middle))) high = middle
    else low = middle + 1
  }
  let counts = ranking.counts(low)
  for (const group of ranking.lastCut(low))
    for (;;) {
      const fewer = ranking.giveBack(counts, group)
      if (!fewer || !holds(fewer)) break
      counts = fewer
    }
  return counts
}
