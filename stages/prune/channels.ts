// Pruning whole channels: the model that comes out is physically smaller.
import { UserError } from '../../base/errors.ts'
import { select } from '../../base/selectors.ts'
import { cutChannels } from '../../channels/cut.ts'
import { type Counts, macsAfter, parametersAfter } from '../../channels/forecast.ts'
import { channelGroups, type Group } from '../../channels/groups.ts'
import { prepareChannels, restoreInterface } from '../../channels/prepare.ts'
import type { Model, Node } from '../../onnx/graph.ts'
import { layerName } from '../../onnx/layers.ts'
import type { StageContext } from '../stage.ts'
import { criteria } from './criteria.ts'
import { lossGradients } from './gradients.ts'
import { criterionOf, type PruneOptions } from './options.ts'
import { cutUntil, type Ranking, rankChannels } from './rank.ts'
import { channelScores } from './scores.ts'
import { sumOf, targets } from './targets.ts'

/** Cuts the least important channels of a copy of the model until the target holds, and says what it did. */
export async function pruneChannels(
  model: Model,
  options: PruneOptions,
  context: StageContext,
): Promise<{ model: Model; summary: string }> {
  const smaller = await prepareChannels(model)
  const groups = chosen(channelGroups(smaller), options)
  const name = criterionOf(options)
  const { needsGradients, comparable } = criteria[name]
  const gradients = needsGradients
    ? await lossGradients(model, options.samples ?? 512, context)
    : []
  const scores = new Map(
    groups.map((group) => [group, channelScores(group, criteria[name], gradients)]),
  )
  const { scope, normalise = comparable ? 'none' : 'mean', round = 1, keep = 0.1 } = options
  const ranking = rankChannels(scores, { scope, normalise, round, keep })
  const counts = reach(smaller, groups, ranking, options)
  const summary = summaryOf(smaller, groups, counts)
  cutChannels(smaller, ranking.cuts(counts))
  restoreInterface(smaller, model)
  for (const group of groups) {
    const left = group.channels - (counts.get(group) ?? 0)
    if (left < group.channels) context.log(`${group.name}: ${group.channels} → ${left} channels`)
  }
  return { model: smaller, summary }
}

/** One line on a cut that is still to come. */
function summaryOf(model: Model, groups: readonly Group[], counts: Counts): string {
  const total = groups.reduce((sum, group) => sum + group.channels, 0)
  const none = new Map<Group, number>()
  const [macs, before] = [macsAfter(model, counts), macsAfter(model, none)]
  const parameters = parametersAfter(model, counts) / parametersAfter(model, none)
  const left = [
    ...(macs !== undefined && before ? [`${percent(macs / before)} of MACs`] : []),
    `${percent(parameters)} of parameters`,
  ]
  return `cut ${sumOf(counts)} of ${total} channels, ${left.join(' and ')} left`
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

/** The groups that can be cut and that the options want cut. */
function chosen(groups: readonly Group[], { layers, exclude }: PruneOptions): Group[] {
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
  const found = meant.filter(({ prunable }) => prunable === true)
  if (found.length > 0) return found
  const reasons = meant.slice(0, 3).map(({ name, prunable }) => `'${name}': ${prunable}`)
  throw new UserError(
    `no channels can be cut: ${reasons.join('; ') || 'no layer makes channels'} — choose other layers, or structure 'weights'`,
  )
}

/** The counts that reach the target most closely from below. */
function reach(
  model: Model,
  groups: readonly Group[],
  ranking: Ranking,
  { target }: PruneOptions,
): Map<Group, number> {
  const key = (['macs', 'parameters', 'sparsity'] as const).find((one) => target[one] !== undefined)
  if (!key) throw new Error('internal: pruning without a target')
  const wanted = target[key]!
  const share = targets[key](model, groups)
  if (!share)
    throw new UserError(
      `target.${key}: cannot be counted: a shape is not known — use target.parameters`,
    )
  const limit = key === 'sparsity' ? 1 - wanted : wanted
  // Shares are quotients of whole numbers: 1 - 3/10 must not miss 0.7 by a rounding error.
  const counts = cutUntil(ranking, (found) => share(found) <= limit + 1e-12)
  if (counts) return counts
  const least = share(ranking.counts(ranking.length))
  const reached =
    key === 'sparsity'
      ? `${(1 - least).toFixed(3)} is the most`
      : `${least.toFixed(3)} is the least`
  throw new UserError(
    `target.${key}: cannot be reached: ${wanted} — ${reached} with these layers; lower 'keep' or 'round', or choose more layers`,
  )
}
