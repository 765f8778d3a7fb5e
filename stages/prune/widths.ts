// Which group loses how many channels, where what a loss costs and what it saves is known of each group by itself: the
// cheapest savings first, until every goal holds.

import type { Counts } from '../../channels/forecast.ts'
import type { Group } from '../../channels/groups.ts'

/** Something that a cut makes smaller. */
export interface Goal {
  /** What a cut leaves, as a share of what was there. */
  share(counts: Counts): number
  /** What may be left. */
  readonly limit: number
}

/** What is chosen from. */
export interface WidthProblem {
  /** By group, how many channels may go: growing numbers, without 0. */
  readonly choices: ReadonlyMap<Group, readonly number[]>
  /** What it costs that so many channels of a group go; grows with their number. */
  lost(group: Group, count: number): number
  readonly goals: readonly Goal[]
}

/** Shares are quotients; one may miss its limit by a rounding error. */
export const tolerance = 1e-12

/** True where every goal is reached. */
export const reaches = (goals: readonly Goal[], counts: Counts): boolean =>
  goals.every(({ share, limit }) => share(counts) <= limit + tolerance)

/**
 * Chooses how many channels of each group go, so that all goals hold and little is lost; undefined where they do not
 * hold even when as much goes as may.
 *
 * Greedy: each step takes what saves most of what is still missing for what it costs, where a saving counts by itself
 * as in the full model, scaled by how much all savings so far were worth together. In the end, what is not needed is
 * given back, the dearest first.
 */
export function chooseWidths({
  choices,
  lost,
  goals,
}: WidthProblem): Map<Group, number> | undefined {
  const most = new Map([...choices].flatMap(([group, counts]) => last(group, counts)))
  if (!reaches(goals, most)) return undefined
  const groups = [...choices.keys()]
  const alone = goals.map(({ share }) => {
    const full = share(new Map())
    const saved = new Map(
      groups.map((group) => [
        group,
        new Map(
          choices.get(group)!.map((count) => [count, full - share(new Map([[group, count]]))]),
        ),
      ]),
    )
    return (group: Group, count: number) => saved.get(group)?.get(count) ?? 0
  })
  let counts = new Map<Group, number>()
  while (!reaches(goals, counts)) {
    const needs = goals.map(({ share, limit }, at) => {
      const left = share(counts)
      const single = [...counts].reduce((sum, [group, count]) => sum + alone[at]!(group, count), 0)
      const worth = single > 0 ? Math.max(0.01, (share(new Map()) - left) / single) : 1
      return { at, missing: left - limit, worth }
    })
    const open = needs.filter(({ missing }) => missing > 0)
    let best: { readonly group: Group; readonly count: number; readonly value: number } | undefined
    for (const group of groups) {
      const now = counts.get(group) ?? 0
      for (const count of choices.get(group)!) {
        if (count <= now) continue
        const gain = open.reduce((sum, { at, missing, worth }) => {
          const saved = (alone[at]!(group, count) - alone[at]!(group, now)) * worth
          return sum + Math.min(1, saved / missing)
        }, 0)
        const value = gain / Math.max(lost(group, count) - lost(group, now), 1e-9)
        if (gain > 0 && (!best || value > best.value)) best = { group, count, value }
      }
    }
    // Where nothing saves anything by itself, only everything together does.
    if (!best) counts = most
    else counts.set(best.group, best.count)
    if (!best) break
  }
  return givenBack({ choices, lost, goals }, counts)
}

const last = (group: Group, counts: readonly number[]): [Group, number][] => {
  const count = counts.at(-1)
  return count === undefined ? [] : [[group, count]]
}

/** Gives back what is not needed for the goals, the dearest first. */
function givenBack(
  { choices, lost, goals }: WidthProblem,
  chosen: ReadonlyMap<Group, number>,
): Map<Group, number> {
  let counts = new Map(chosen)
  for (;;) {
    const options = [...counts].flatMap(([group, count]) =>
      [0, ...choices.get(group)!]
        .filter((fewer) => fewer < count)
        .map((fewer) => ({ group, fewer, worth: lost(group, count) - lost(group, fewer) })),
    )
    options.sort((a, b) => b.worth - a.worth)
    const better = options
      .map(({ group, fewer }) => new Map(counts).set(group, fewer))
      .find((candidate) => reaches(goals, candidate))
    if (!better) return new Map([...counts].filter(([, count]) => count > 0))
    counts = better
  }
}
