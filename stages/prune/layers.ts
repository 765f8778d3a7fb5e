// Pruning whole layers: residual branches, of whose sums the identity is left, or blocks that a model repeats.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { select } from '../../base/selectors.ts'
import { prepareChannels, restoreInterface } from '../../channels/prepare.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { layerName } from '../../onnx/layers.ts'
import { feedingOf } from '../feeding.ts'
import { costsOf, sharesLeft } from '../shares.ts'
import type { StageContext } from '../stage.ts'
import { latencyGoals } from './amount.ts'
import { settleCriterion } from './criteria.ts'
import { openShares } from './latency.ts'
import { leastThat, type Order } from './least.ts'
import type { PruneOptions } from './options.ts'
import type { Before, Pruned } from './pruned.ts'
import { findUnits, type Unit, unitNames, withoutUnits } from './units.ts'

/** Options of the structure, a part of those of the stage. */
export const layersShape = {
  unit: z
    .enum(unitNames)
    .optional()
    .describe(
      'layers: what goes as a whole. branch: f of a residual sum x + f(x), of which x is left; block: one of the blocks that the model repeats. Branches unless given, where there are any.',
    ),
} as const

/** What can be a target. */
export const layerTargets = ['macs', 'parameters', 'latency', 'sparsity'] as const

/** Those that need no measurement. */
const countedTargets = layerTargets.filter((target) => target !== 'latency')

/** Gives a copy of the model without the units that matter least, as many as the target needs gone. */
export async function pruneLayers(
  model: Model,
  options: PruneOptions,
  context: StageContext,
  before?: Before,
): Promise<Pruned> {
  const prepare = (given: Model) => prepareChannels(given, 'model', dimsOf(given, context))
  const prepared = await prepare(model)
  const units = chosen(prepared, options)
  const { row, samples } = settleCriterion(options, 'units')
  if (!row.units) throw new Error('internal: a criterion that scores no layers')
  const fed = cloneModel(prepared)
  restoreInterface(fed, model)
  const scores = await row.units({ units, model: fed, samples, context })
  // Of equal ones the later goes first: what is near the input is built upon by more.
  const places = new Map(units.map((unit, index) => [unit, index]))
  const order = units.toSorted(
    (a, b) => scores.get(a)! - scores.get(b)! || places.get(b)! - places.get(a)!,
  )
  const original = before && (await prepare(before.original))
  const progress = before?.progress ?? 1
  const goal =
    options.target.latency === undefined
      ? goalOf(prepared, original ?? prepared, units, options, progress)
      : await latencyGoal(
          { prepared, given: model, original: before?.original ?? model },
          options.target.latency,
          progress,
          context,
        )
  const gone = await leastThat(orderOf(order), goal.holds)
  if (!gone) throw await goal.unreachable(order)
  const smaller = withoutUnits(prepared, gone)
  const left = sharesLeft(costsOf(smaller), costsOf(prepared))
  restoreInterface(smaller, model)
  for (const unit of gone)
    context.log(
      `${unit.name}: gone with ${unit.nodes.length} nodes, score ${precise(scores.get(unit)!)}`,
    )
  return {
    model: smaller,
    summary: `cut ${gone.length} of ${units.length} ${kindOf(options, prepared)}, ${left}`,
  }
}

/** The sizes of free dimensions as the data has them, where there is some. */
const dimsOf = ({ graph }: Model, { data, task }: StageContext): Record<string, number> => ({
  ...(data && feedingOf(graph, data.calibration, task, 1).dims),
})

const precise = (score: number): string => score.toPrecision(3)

const plurals = { branch: 'residual branches', block: 'blocks' } as const

/** What the units are called. */
const kindOf = ({ unit }: PruneOptions, prepared: Model): string =>
  plurals[unit ?? (findUnits(prepared, 'branch').length > 0 ? 'branch' : 'block')]

/** The units that the options want cut. */
function chosen(prepared: Model, { unit, layers, exclude }: PruneOptions): Unit[] {
  const kinds = unit ? [unit] : unitNames
  const units = kinds.map((kind) => findUnits(prepared, kind)).find(({ length }) => length > 0)
  if (!units)
    throw new UserError(
      `structure 'layers': there is nothing to leave out: the model has no ${kinds.map((kind) => plurals[kind]).join(' and no ')} — choose structure 'channels'`,
    )
  // Every node of a unit names it.
  const named = units.flatMap((own) =>
    own.nodes.map((node) => ({ own, name: layerName(node), opType: node.opType })),
  )
  const unitsOf = (selectors: readonly string[], where: string) =>
    new Set(select(named, selectors, where).map(({ own }) => own))
  const wanted = layers ? unitsOf(layers, 'layers') : new Set(units)
  const spared = unitsOf(exclude, 'exclude')
  const found = units.filter((own) => wanted.has(own) && !spared.has(own))
  if (found.length === 0)
    throw new UserError(
      `structure 'layers': none is left of ${units.length} ${plurals[kinds[0]!]} — choose more with layers, or exclude fewer`,
    )
  return found
}

/** Units in the order in which they go; each can be given back by itself. */
const orderOf = (units: readonly Unit[]): Order<readonly Unit[]> => ({
  length: units.length,
  first: (count) => units.slice(0, count),
  parts: (count) =>
    units
      .slice(0, count)
      .reverse()
      .map(
        (unit) => (gone) => (gone.includes(unit) ? gone.filter((own) => own !== unit) : undefined),
      ),
})

/** When enough is gone. */
interface Goal {
  holds(gone: readonly Unit[]): boolean | Promise<boolean>
  /** What to say where even all units are not enough. */
  unreachable(gone: readonly Unit[]): UserError | Promise<UserError>
}

/** What the target asks for; after a step of several, that part of it. */
function goalOf(
  prepared: Model,
  original: Model,
  units: readonly Unit[],
  options: PruneOptions,
  progress: number,
): Goal {
  const { target } = options
  const key = countedTargets.find((one) => target[one] !== undefined)
  if (!key) throw new Error('internal: pruning layers without a target')
  const wanted = target[key]!
  if (key === 'sparsity') {
    const all = original === prepared ? units.length : chosen(original, options).length
    const least = progress === 1 ? 1 : 0
    const sought = Math.max(least, Math.round(wanted * progress * all)) - (all - units.length)
    const count = Math.min(units.length, Math.max(0, sought))
    return {
      holds: (gone) => gone.length >= count,
      unreachable: () => new UserError('internal: a share of the layers'),
    }
  }
  const count = (model: Model) => costsOf(model)[key]
  const before = count(original)
  if (!before)
    throw new UserError(
      `target.${key}: cannot be counted: a shape is not known — use target.parameters`,
    )
  const shareWithout = (gone: readonly Unit[]) => count(withoutUnits(prepared, gone))! / before
  const limit = 1 - (1 - wanted) * progress
  return {
    holds: (gone) => shareWithout(gone) <= limit + 1e-12,
    unreachable: (gone) =>
      new UserError(
        `target.${key}: cannot be reached: ${wanted} — ${shareWithout(gone).toFixed(3)} is the least without all ${gone.length} of these layers; choose more layers, or prune channels as well`,
      ),
  }
}

/** A goal of measured time: shares of what the original takes; after a step of several, that part of it. */
async function latencyGoal(
  { prepared, given, original }: Record<'prepared' | 'given' | 'original', Model>,
  wanted: NonNullable<PruneOptions['target']['latency']>,
  progress: number,
  context: StageContext,
): Promise<Goal> {
  const goals = latencyGoals(wanted).map((goal) => ({
    ...goal,
    share: 1 - (1 - goal.share) * progress,
  }))
  const measure = await openShares({ model: prepared, given, original }, goals, context)
  const sharesWithout = (gone: readonly Unit[]) => {
    const smaller = withoutUnits(prepared, gone)
    restoreInterface(smaller, given)
    return measure(smaller)
  }
  return {
    async holds(gone) {
      const shares = await sharesWithout(gone)
      return goals.every(({ share }, at) => shares[at]! <= share)
    },
    async unreachable(gone) {
      const shares = await sharesWithout(gone)
      const at = goals.findIndex(({ share }, index) => shares[index]! > share)
      const { provider, batch, share } = goals[at]!
      return new UserError(
        `target.latency.${provider}: cannot be reached: ${Number(share.toFixed(4))} at batch ${batch} — ${shares[at]!.toFixed(3)} was measured without all ${gone.length} of these layers; choose more layers, or prune channels as well`,
      )
    },
  }
}
