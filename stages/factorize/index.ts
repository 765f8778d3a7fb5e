// The factorization stage: layers become chains of smaller operators, and a short training gives back what that cost.
import { throwIfAborted, UserError } from '../../base/errors.ts'
import { select } from '../../base/selectors.ts'
import { prepareChannels, restoreInterface } from '../../channels/prepare.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { type Model, opsetOf } from '../../onnx/graph.ts'
import { upgradeOpset } from '../../onnx/passes/upgrade.ts'
import { refuseQuantized } from '../quantize/prepare.ts'
import { recover } from '../recover.ts'
import { type Costs, costsOf, percent, sharesLeft } from '../shares.ts'
import { defineStage, type StageContext } from '../stage.ts'
import { challenged, type Prospect, prospectsOf } from './candidates.ts'
import { byError, type Choice, chooseForTarget, chooseUniformly, type Measure } from './choose.ts'
import { measureMoments } from './moments.ts'
import { type FactorizeOptions, factorizeOptions, needsSamples, samplesOf } from './options.ts'
import { replaceUnit } from './replace.ts'
import { measuredHarm } from './sensitivity.ts'
import { type Left, type Unit, unitsOf } from './units.ts'

/** What error messages call the model. */
const where = 'model'

/** Gemm without a C, and everything that chains are written in, is there since this opset. */
const leastOpset = 13

/** Replaces layers by chains of smaller operators, and recovers. */
export const factorize = defineStage({
  summary: 'Replace layers by chains of smaller ones of lower rank',
  options: factorizeOptions,
  dataUse: (options) =>
    options.recover !== undefined || needsSamples(options) ? 'always' : 'never',
  // Recovery asks the teacher once; the few samples that layers are judged by do not count.
  passes: ({ recover: recovery }) => (recovery ? 3 * recovery.epochs + 1 : 0),
  async run(input, options, context) {
    const { model, summary } = await factorized(input.model, options, context)
    const { losses } = input.facts
    const artifact = { model, facts: { ...(losses && { losses }), summary } }
    context.progress({ done: 1 })
    return options.recover
      ? recover(artifact, options.recover, context, { unpruned: input.model })
      : artifact
  },
})

/** Factorizes layers of a copy of the model until the options are met, and says what it did. */
async function factorized(
  original: Model,
  options: FactorizeOptions,
  context: StageContext,
): Promise<{ readonly model: Model; readonly summary: string }> {
  refuseQuantized(original.graph, 'factorize')
  const raised = cloneModel(original)
  if (opsetOf(raised) < leastOpset) upgradeOpset(raised, leastOpset, where)
  const prepared = await prepareChannels(raised, where)
  const found = unitsOf(prepared)
  const { units, left } = meant(found.units, found.left, options)
  const moments =
    options.fit === 'outputs'
      ? await measureMoments(withInterface(prepared, original), units, samplesOf(options), context)
      : new Map()
  const { prospects, left: hopeless } = await prospectsOf(units, options, moments, context)
  const stays = [...left, ...hopeless]
  if (prospects.length === 0) throw nothing(stays)
  const before = costsOf(prepared)
  const chosen = await choose(prospects, { original, prepared, options, context, before })
  for (const line of staying(stays, prospects, chosen)) context.log(line)
  const tally = new Map<string, number>()
  for (const prospect of prospects) {
    throwIfAborted(context.signal)
    await new Promise(setImmediate)
    const first = chosen.get(prospect.unit)
    if (!first) continue
    const choice = challenged(prospect, first, options)
    const { error } = replaceUnit(prepared.graph, prospect.unit, choice.opened, choice.ranks)
    context.log(describe(prospect.unit, choice, error, options))
    tally.set(choice.method, (tally.get(choice.method) ?? 0) + 1)
  }
  restoreInterface(prepared, original)
  const after = costsOf(await prepareChannels(prepared, where))
  return {
    model: prepared,
    summary: `factorized ${chosen.size} of ${found.units.length + found.left.length} layers (${[...tally].map(([name, count]) => `${name} ${count}`).join(', ')}), ${sharesLeft(after, before)}`,
  }
}

/** A copy of a prepared model that takes any batch again. */
function withInterface(prepared: Model, original: Model): Model {
  const copy = cloneModel(prepared)
  restoreInterface(copy, original)
  return copy
}

/** The layers that the options name. */
function meant(
  units: readonly Unit[],
  left: readonly Left[],
  { layers, exclude }: FactorizeOptions,
): { readonly units: Unit[]; readonly left: Left[] } {
  const nodes = units.flatMap((unit) =>
    unit.nodes.map((node) => ({
      name: node.name || unit.name,
      opType: node.opType,
      of: unit as Unit | Left,
    })),
  )
  const all = [...nodes, ...left.map((layer) => ({ ...layer, of: layer as Unit | Left }))]
  const picked = (selectors: readonly string[], option: string) =>
    new Set(select(all, selectors, option).map(({ of }) => of))
  const wanted = layers ? picked(layers, 'layers') : new Set(all.map(({ of }) => of))
  const spared = picked(exclude, 'exclude')
  const isMeant = (layer: Unit | Left) => wanted.has(layer) && !spared.has(layer)
  return { units: units.filter(isMeant), left: left.filter(isMeant) }
}

const nothing = (left: readonly Left[]) => {
  const reasons = left.slice(0, 3).map(({ name, reason }) => `'${name}': ${reason}`)
  return new UserError(
    `no layer can be factorized: ${reasons.join('; ') || 'there is none with weights'} — choose other layers, another method or a smaller rank`,
  )
}

interface Task {
  readonly original: Model
  readonly prepared: Model
  readonly options: FactorizeOptions
  readonly context: StageContext
  readonly before: Costs
}

/** What each layer becomes; layers that are not among the keys stay. */
async function choose(
  prospects: readonly Prospect[],
  { original, prepared, options, context, before }: Task,
): Promise<ReadonlyMap<Unit, Choice>> {
  const { target, ratios = 'error' } = options
  if (!target) return new Map(prospects.map(({ unit, choices }) => [unit, choices[0]!]))
  const measure: Measure = target.macs === undefined ? 'parameters' : 'macs'
  const share = target[measure]!
  const whole = before[measure]
  if (!whole)
    throw new UserError(
      `target.${measure}: cannot be counted: a shape is not known — use target.parameters`,
    )
  const own = prospects.reduce((sum, { unit }) => sum + unit[measure], 0)
  const limit = share * whole - (whole - own)
  const chosen =
    ratios === 'uniform'
      ? chooseUniformly(prospects, measure, limit)
      : chooseForTarget(
          prospects,
          measure,
          limit,
          ratios === 'error'
            ? byError
            : await measuredHarm(
                prospects,
                measure,
                {
                  ...{ original, prepared, samples: samplesOf(options) },
                  key: [options.method, options.fit, options.round],
                },
                context,
              ),
        )
  if (chosen) return chosen
  const least = prospects.reduce(
    (sum, { choices }) => sum + Math.min(...choices.map(({ cost }) => cost[measure])),
    whole - own,
  )
  throw new UserError(
    `target.${measure}: cannot be reached: ${share} — ${(least / whole).toFixed(3)} is the least with these layers; choose more layers or another method`,
  )
}

/** Lines on the layers that stay as they are, those of one reason together. */
function staying(
  left: readonly Left[],
  prospects: readonly Prospect[],
  chosen: ReadonlyMap<Unit, Choice>,
): string[] {
  const byReason = new Map<string, string[]>()
  const spared = prospects
    .filter(({ unit }) => !chosen.has(unit))
    .map(({ unit: { name } }) => ({ name, reason: 'the target holds without it' }))
  for (const { name, reason } of [...left, ...spared]) {
    const names = byReason.get(reason)
    if (names) names.push(`'${name}'`)
    else byReason.set(reason, [`'${name}'`])
  }
  return [...byReason].map(([reason, names]) => {
    const more = names.length > 3 ? ` and ${names.length - 3} more` : ''
    return `${names.slice(0, 3).join(', ')}${more}: left as ${names.length > 1 ? 'they are' : 'it is'}: ${reason}`
  })
}

function describe(
  unit: Unit,
  { method, ranks, cost }: Choice,
  error: number,
  { fit }: FactorizeOptions,
): string {
  const { dims } = unit.weight.tensor!
  const rank = `rank${ranks.length > 1 ? 's' : ''} ${ranks.join(' and ')}`
  const lost = `${percent(error)} of ${fit === 'outputs' ? "its outputs' energy" : 'its energy'} lost`
  return `${unit.name}: ${dims.join('×')} → ${method} of ${rank}: ${percent(cost.macs / unit.macs)} of its MACs, ${lost}`
}
