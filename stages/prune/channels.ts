// Pruning whole channels: the model that comes out is physically smaller.
import { UserError } from '../../base/errors.ts'
import { select } from '../../base/selectors.ts'
import { cutChannels } from '../../channels/cut.ts'
import { type Counts, forecastMacs, forecastParameters } from '../../channels/forecast.ts'
import { channelGroups, type Group } from '../../channels/groups.ts'
import { isHeads } from '../../channels/heads.ts'
import { prepareChannels, restoreInterface } from '../../channels/prepare.ts'
import { describeUnfollowed, unfollowedLayers } from '../../channels/unfollowed.ts'
import type { Model, Node } from '../../onnx/graph.ts'
import { layerName } from '../../onnx/layers.ts'
import { keptChannels } from '../kept-channels.ts'
import { sharesLeft } from '../shares.ts'
import type { StageContext } from '../stage.ts'
import { settleCriterion } from './criteria.ts'
import { likedRound } from './liked-round.ts'
import type { PruneOptions } from './options.ts'
import type { Before, Pruned } from './pruned.ts'
import { type Ranking, rankChannels } from './rank.ts'
import { countsFor } from './reach.ts'
import { reconstructChannels } from './reconstruct.ts'
import { type GroupLimit, limitsOf } from './rounding.ts'
import { channelScores } from './scores.ts'
import { sumOf } from './targets.ts'

/** A structure whose units are cut out as channels. */
type ChannelStructure = 'channels' | 'filters' | 'heads'

/** Which groups a structure is made of, and what it calls the units of a group. */
const kinds: Readonly<
  Record<ChannelStructure, { readonly has: (group: Group) => boolean; readonly units: string }>
> = {
  channels: { has: () => true, units: 'channels' },
  /** Channels that nothing but one layer makes: those inside residual blocks, but not those of the residual path. */
  filters: { has: ({ producers }) => producers.length === 1, units: 'filters' },
  heads: { has: isHeads, units: 'heads' },
}

/** Groups of channels that are to be cut, in the order in which their channels go. */
export interface ChannelSubject {
  /** The model as it was given. */
  readonly given: Model
  /** A copy, prepared, that the groups are of. */
  readonly model: Model
  readonly groups: readonly Group[]
  readonly ranking: Ranking
  readonly limitOf: (group: Group) => GroupLimit
  /** The model before any cut, as it was given and prepared. */
  readonly original: Model
  readonly full: Model
  /** How many channels a group had there. */
  channelsBefore(group: Group): number
}

/** Cuts the least important channels of a copy of the model until the target holds, and says what it did. */
export async function pruneChannels(
  model: Model,
  options: PruneOptions,
  context: StageContext,
  before?: Before,
): Promise<Pruned> {
  const subject = await channelSubject(model, options, context, before?.original)
  const { model: smaller, groups, ranking } = subject
  const counts = await countsFor(subject, options, context, before?.progress)
  const { units } = kinds[kindOf(options)]
  const summary = summaryOf(subject, counts, units)
  const cuts = ranking.cuts(counts)
  const kept = keptChannels(cuts)
  cutChannels(smaller, cuts)
  restoreInterface(smaller, model)
  for (const group of groups) {
    const left = group.channels - (counts.get(group) ?? 0)
    if (left < group.channels) context.log(`${group.name}: ${group.channels} → ${left} ${units}`)
  }
  const { reconstruct, samples } = settleCriterion(options, 'channels')
  if (reconstruct) await reconstructChannels(smaller, model, cuts, samples, context)
  return { model: smaller, summary, kept }
}

const kindOf = ({ structure }: Pick<PruneOptions, 'structure'>): ChannelStructure =>
  structure === 'filters' || structure === 'heads' ? structure : 'channels'

/** Finds the groups that the options want cut, and puts their channels in order. */
export async function channelSubject(
  given: Model,
  options: PruneOptions,
  context: StageContext,
  original: Model = given,
): Promise<ChannelSubject> {
  const model = await prepareChannels(given)
  const full = original === given ? model : await prepareChannels(original)
  const groups = chosen(model, options)
  const sizes = new Map(channelGroups(full).map(({ name, channels }) => [name, channels]))
  const channelsBefore = ({ name, channels }: Group) => sizes.get(name) ?? channels
  const scores = await channelScores(model, groups, options, context, given)
  const { scope, normalise } = settleCriterion(options, 'channels')
  const round =
    options.round === 'auto' && options.target.latency === undefined
      ? await likedRound(given, model, groups, context)
      : options.round === 'auto'
        ? 1
        : (options.round ?? 1)
  const limitOf = limitsOf(
    groups,
    options,
    // A small group is rounded to what it has more than once.
    ({ channels }) => (options.round === 'auto' ? Math.min(round, largestBelow(channels)) : round),
    channelsBefore,
  )
  const ranking = rankChannels(scores, { scope, normalise, limitOf })
  return { given, model, groups, ranking, limitOf, original, full, channelsBefore }
}

/** The largest power of two that a group has at least twice. */
const largestBelow = (channels: number): number =>
  2 ** Math.max(0, Math.floor(Math.log2(channels / 2)))

/** One line on a cut that is still to come. */
function summaryOf({ model, groups }: ChannelSubject, counts: Counts, units: string): string {
  const total = groups.reduce((sum, group) => sum + group.channels, 0)
  const [macs, parameters] = [forecastMacs(model), forecastParameters(model)]
  const costs = (gone: Counts) => ({ macs: macs?.(gone), parameters: parameters(gone) })
  return `cut ${sumOf(counts)} of ${total} ${units}, ${sharesLeft(costs(counts), costs(new Map()))}`
}

/** The groups that can be cut and that the options want cut. */
function chosen(model: Model, options: PruneOptions): Group[] {
  const { layers, exclude } = options
  const groups = channelGroups(model)
  const kind = kindOf(options)
  const nodes = [...new Set(groups.flatMap(({ producers }) => producers))]
  const named = nodes.map((node) => ({ node, name: layerName(node), opType: node.opType }))
  const nodesOf = (selectors: readonly string[], where: string): ReadonlySet<Node> =>
    new Set(select(named, selectors, where).map(({ node }) => node))
  const wanted = layers ? nodesOf(layers, 'layers') : new Set(nodes)
  const spared = nodesOf(exclude, 'exclude')
  const meant = groups.filter(
    ({ producers }) =>
      producers.some((node) => wanted.has(node)) && !producers.some((node) => spared.has(node)),
  )
  const possible = meant.filter(({ prunable }) => prunable === true)
  const found = possible.filter(kinds[kind].has)
  if (found.length > 0) return found
  if (possible.length > 0)
    throw new UserError(
      `structure: there are no ${kind} to cut: the channels of ${possible.length} groups can be, such as '${possible[0]!.name}' — use structure 'channels', or choose other layers`,
    )
  if (meant.length === 0 && groups.length > 0)
    throw new UserError(
      `no channels can be cut: all ${groups.length} groups are left out — choose other layers, or exclude fewer`,
    )
  const refused = meant.map(({ name, prunable }) => ({ name, reason: String(prunable) }))
  const reasons = describeUnfollowed([...refused, ...unfollowedLayers(model, groups)])
  throw new UserError(
    `no channels can be cut: ${reasons ?? 'no layer has weights'} — choose other layers, or structure 'weights'`,
  )
}
