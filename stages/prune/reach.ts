// How many channels of each group go until the target holds, by what the target counts and by what says how much each
// layer loses.
import { UserError } from '../../base/errors.ts'
import { copiedGroups } from '../../channels/copied.ts'
import { cutChannels } from '../../channels/cut.ts'
import type { Counts } from '../../channels/forecast.ts'
import type { Group } from '../../channels/groups.ts'
import { restoreInterface } from '../../channels/prepare.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { StageContext } from '../stage.ts'
import { type AmountOptions, latencyGoals, targetKeyOf } from './amount.ts'
import type { ChannelSubject } from './channels.ts'
import { reachLatency } from './latency.ts'
import { givenBack, leastThat } from './least.ts'
import type { Ranking } from './rank.ts'
import { roundUp } from './rounding.ts'
import {
  costOf,
  defaultShares,
  measureSensitivity,
  type SensitivitySubject,
} from './sensitivity.ts'
import { targets } from './targets.ts'
import { chooseWidths, tolerance } from './widths.ts'

/**
 * Finds how many channels of each group go.
 *
 * `progress` is how much of what is to go is to be gone, 0..1. A target that cannot be reached is a {@link UserError}
 * that says what can.
 */
export async function countsFor(
  subject: ChannelSubject,
  options: AmountOptions,
  context: StageContext,
  progress = 1,
): Promise<Counts> {
  const { ranking, groups } = subject
  const lost =
    options.ratios === 'auto' ? await sensitivityCost(subject, options, context) : ranking.lost
  const left = (share: number) => 1 - (1 - share) * progress
  const { latency } = options.target
  if (latency) {
    const goals = latencyGoals(latency).map((goal) => ({ ...goal, share: left(goal.share) }))
    return reachLatency({ ...subject, lost }, goals, context)
  }
  const key = targetKeyOf(options)
  if (key === 'latency') throw new Error('internal: a latency without shares')
  const wanted = options.target[key]!
  const share = targets[key](subject)
  if (!share)
    throw new UserError(
      `target.${key}: cannot be counted: a shape is not known — use target.parameters`,
    )
  const limit = key === 'sparsity' ? 1 - wanted * progress : left(wanted)
  // Shares are quotients of whole numbers: 1 - 3/10 must not miss 0.7 by a rounding error.
  const holds = (counts: Counts) => share(counts) <= limit + tolerance
  const counts =
    options.ratios === 'auto'
      ? chooseWidths({ choices: evenChoices(subject), lost, goals: [{ share, limit }] })
      : await leastThat(
          {
            length: ranking.length,
            first: ranking.counts,
            parts: (length) => givingBack(ranking, ranking.lastCut(length)),
          },
          holds,
        )
  if (counts) return options.ratios === 'auto' ? refined(counts, subject, holds, lost) : counts
  const least = share(
    new Map(
      groups.map((group) => {
        const { least, round } = subject.limitOf(group)
        return [group, group.channels - roundUp(least, round, group.channels)]
      }),
    ),
  )
  const reached =
    key === 'sparsity'
      ? `${(1 - least).toFixed(3)} is the most`
      : `${least.toFixed(3)} is the least`
  throw new UserError(
    `target.${key}: cannot be reached: ${wanted} — ${reached} with these layers; lower 'keep' or 'round', or choose more layers`,
  )
}

/** Counts of a group that are tried at most where any could be. */
const mostChoices = 16

/** By group, counts that may go, evenly spread. */
function evenChoices({ groups, limitOf }: ChannelSubject): Map<Group, number[]> {
  return new Map(
    groups.map((group) => {
      const { least, round } = limitOf(group)
      const { channels } = group
      const narrowest = roundUp(least, round, channels)
      const steps = Math.ceil((channels - narrowest) / round)
      const every = Math.max(1, Math.ceil(steps / mostChoices)) * round
      const widths = new Set<number>()
      for (let width = narrowest; width < channels; width += every) widths.add(width)
      return [group, [...widths].map((width) => channels - width).sort((a, b) => a - b)]
    }),
  )
}

/** Gives channels back as long as the target holds, the dearest groups first. */
function refined(
  chosen: Counts,
  { ranking }: ChannelSubject,
  holds: (counts: Counts) => boolean,
  lost: (group: Group, count: number) => number,
): Promise<Counts> {
  const order = [...chosen].sort(([a, m], [b, n]) => lost(b, n) / n - lost(a, m) / m)
  const dearest = order.map(([group]) => group)
  return givenBack(chosen, givingBack(ranking, dearest), holds)
}

/** Ways of giving channels back, group by group. */
const givingBack = (ranking: Ranking, groups: readonly Group[]) =>
  groups.map((group) => (counts: Counts) => ranking.giveBack(counts, group))

/** What losing channels costs by the measured sensitivity of each group. */
async function sensitivityCost(
  subject: ChannelSubject,
  { shares = defaultShares }: AmountOptions,
  context: StageContext,
): Promise<(group: Group, count: number) => number> {
  const { given } = subject
  const found = await measureSensitivity(given, channelSubjects(subject), shares, context)
  const cost = costOf(found)
  return ({ name, channels }, count) => cost(name, count / channels)
}

/** The groups as sensitivity measures them: the least important channels of each go first. */
export function channelSubjects({
  given,
  model,
  groups,
  ranking,
  limitOf,
}: ChannelSubject): SensitivitySubject[] {
  return groups.map((group) => ({
    name: group.name,
    size: group.channels,
    countOf(share) {
      const { least, round } = limitOf(group)
      const left = roundUp(Math.max(least, (1 - share) * group.channels), round, group.channels)
      return group.channels - left
    },
    contentOf: (count) => ranking.cuts(new Map([[group, count]])).get(group),
    cut(count) {
      const copy = cloneModel(model)
      const own = copiedGroups(model, copy, [group]).get(group)!
      cutChannels(copy, new Map([[own, ranking.cuts(new Map([[group, count]])).get(group)!]]))
      restoreInterface(copy, given)
      return copy
    },
  }))
}
