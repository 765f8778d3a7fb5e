// Automatic mixed precision: which nodes stay float so that the model is as good as it has to be and costs the least,
// with quality and cost both measured on models that are made for it.
import { z } from 'zod'
import { throwIfAborted, UserError } from '../../base/errors.ts'
import { race, undisturbed } from '../../benchmarks/race.ts'
import type { Model, Node } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import type { StageContext } from '../stage.ts'
import type { Prepared } from './prepare.ts'
import {
  type Candidate,
  type Chooser,
  type Damage,
  type Judge,
  openJudge,
  openTrials,
  type Trials,
} from './trials.ts'

/** Options of the search. */
export const mixedShape = {
  mixed: z
    .strictObject({
      floor: z
        .number()
        .gt(0)
        .max(1)
        .default(0.99)
        .describe(
          'What has to be left: a share of the float accuracy, or a cosine similarity, that one with 95 % confidence on samples like those of the calibration.',
        ),
      of: z
        .enum(['cosine', 'accuracy'])
        .default('cosine')
        .describe(
          "What the floor is of: the outputs' likeness to the float model's, the lowest of all; or the task's main figure, which needs data.",
        ),
      least: z
        .enum(['latency', 'bytes'])
        .default('latency')
        .describe('What is to be least: the time on the provider, or the size of the file.'),
    })
    .optional()
    .describe(
      'Lets nodes stay float until the model is as good as wanted at the least cost, measured.',
    ),
} as const

/** Resolved options of the search. */
export type MixedOptions = NonNullable<z.output<(typeof mixedShape)['mixed']>>

/** A chooser, and what is to be said of its choice once it has been asked. */
export interface Mixer {
  readonly choose: Chooser
  summary(): string
}

/** What is tried together: a node, or neighbours where there are many nodes. */
type Unit = readonly Candidate[]

/** Units that are measured: each takes several trials. */
const mostUnits = 24

/** Units, and then nodes, that are tried to be quantized after all, once the floor is reached. */
const mostReturns = 16

/** Models that are raced at once, besides the one that is quantized throughout. */
const heat = 8

/** How models are raced. */
const timing = { rounds: 8, roundMs: 4 } as const

/** A choice that reaches the floor. */
interface Choice {
  readonly float: readonly Unit[]
  readonly model: Model
  /** What was measured, and what is compared with the floor: a cosine similarity is that or more with 95 % confidence. */
  readonly measured: number
  readonly quality: number
}

/**
 * Makes what chooses the nodes that stay float.
 *
 * Each candidate is judged quantized alone, and float alone; neighbours are judged together where there are many.
 * Candidates then stay float in the order of the noise that they make, and once more in the order of noise by what it
 * costs, until the floor is reached; those that need not are quantized again. Of what is left the cheapest is taken,
 * measured.
 *
 * A floor that is out of reach is a {@link UserError}.
 */
export function mixerFor(
  model: Model,
  options: MixedOptions,
  context: StageContext,
  where: string,
): Mixer {
  let said = ''
  return {
    async choose(prepared, rewrite, among) {
      const trials = openTrials(prepared, rewrite, among)
      const wanted = options.of === 'accuracy' ? 'figure' : 'likeness'
      const judge = await openJudge(model, context, where, wanted)
      const choice = await search(trials, judge, options, context, where)
      const { candidates } = trials
      const float = choice.float.flat()
      const { measured, quality } = choice
      const sure = quality < measured ? ` (${quality.toFixed(4)} or more with 95 % confidence)` : ''
      const what = `${options.of} ${measured.toFixed(4)}${sure} with ${float.length} of ${candidates.length} nodes float`
      const names = float.map(({ name }) => name)
      if (names.length > 0) context.log(`mixed: float stay ${names.join(', ')}`)
      said = `mixed: ${what}`
      return kept(prepared, choice)
    },
    summary: () => said,
  }
}

const kept = ({ excluded }: Prepared, { float }: Choice): ReadonlySet<Node> =>
  new Set([...excluded, ...float.flat().map(({ node }) => node)])

/** Neighbours in units of one size, as few as are needed for `mostUnits`. */
function unitsOf(candidates: readonly Candidate[]): Unit[] {
  const size = Math.ceil(candidates.length / mostUnits)
  return Array.from({ length: Math.ceil(candidates.length / size) }, (_, index) =>
    candidates.slice(index * size, (index + 1) * size),
  )
}

async function search(
  trials: Trials,
  judge: Judge,
  options: MixedOptions,
  context: StageContext,
  where: string,
): Promise<Choice> {
  const { floor } = options
  const quality = qualityBy(options, judge, where)
  const attempt = async (float: readonly Unit[]): Promise<Choice> => {
    throwIfAborted(context.signal)
    const model = await trials.without(float.flat())
    return { float, model, ...quality(await judge.judge(model)) }
  }
  const whole = await attempt([])
  if (whole.quality >= floor) return whole
  const units = unitsOf(trials.candidates)
  const noise = await noiseOf(units, trials, judge, whole.model, context)
  const costs = await costsOf(units, trials, judge, whole.model, options, context)
  const orders = [
    (unit: Unit) => noise.get(unit)!,
    (unit: Unit) => noise.get(unit)! / costs.get(unit)!,
  ]
  const choices: Choice[] = []
  const tried = new Set<string>()
  for (const rank of orders) {
    const order = [...units].sort((a, b) => rank(b) - rank(a))
    const reached = await leastPrefix(order, floor, attempt)
    if (!reached) continue
    const float = new Set(reached.float)
    const which = units.map((unit) => (float.has(unit) ? '1' : '0')).join('')
    // Both orders often lead to the same.
    if (tried.has(which)) continue
    tried.add(which)
    choices.push(await returnSome(reached, costs, floor, attempt))
  }
  if (choices.length === 0) {
    const all = await attempt(units)
    throw new UserError(
      `${where}: mixed.floor: cannot be reached: ${floor} — with every layer float the ${options.of} is ${all.quality.toFixed(4)}; lower the floor, or use another scheme`,
    )
  }
  return await cheapest(choices, judge, options, context)
}

/** How good a model is, by the option `of`. */
function qualityBy(
  { of }: MixedOptions,
  { figure }: Judge,
  where: string,
): (damage: Damage) => Pick<Choice, 'measured' | 'quality'> {
  if (of === 'cosine')
    return ({ cosine, sureCosine }) => ({ measured: cosine, quality: sureCosine })
  if (!figure)
    throw new UserError(
      `${where}: mixed.of: 'accuracy' needs data: there is none — name the data, or use cosine`,
    )
  if (figure.score <= 0)
    throw new UserError(
      `${where}: mixed.of: the float model has no ${figure.metric} to keep: ${figure.score} — use cosine`,
    )
  return ({ score }) => {
    const share = (score ?? 0) / figure.score
    return { measured: share, quality: share }
  }
}

/** The power of the noise, relative to the signal, that each unit makes: alone, or as one of all. */
async function noiseOf(
  units: readonly Unit[],
  trials: Trials,
  judge: Judge,
  whole: Model,
  { progress }: StageContext,
): Promise<ReadonlyMap<Unit, number>> {
  const power = ({ sqnrDb }: Damage) => 10 ** (-sqnrDb / 10)
  const all = power(await judge.judge(whole))
  const noise = new Map<Unit, number>()
  for (const [index, unit] of units.entries()) {
    progress({ done: (0.8 * index) / units.length })
    const others = units.filter((other) => other !== unit).flat()
    const alone = power(await judge.judge(await trials.without(others)))
    const off = power(await judge.judge(await trials.without(unit)))
    noise.set(unit, Math.max(alone, all - off))
  }
  return noise
}

/** What it costs, in ms or bytes, that each unit stays float; at least a little, for it is divided by. */
async function costsOf(
  units: readonly Unit[],
  trials: Trials,
  judge: Judge,
  whole: Model,
  options: MixedOptions,
  context: StageContext,
): Promise<ReadonlyMap<Unit, number>> {
  const costs = new Map<Unit, number>()
  for (let start = 0; start < units.length; start += heat) {
    const some = units.slice(start, start + heat)
    const models = [whole]
    for (const unit of some) models.push(await trials.without(unit))
    const [base, ...others] = await priceOf(models, judge, options, context)
    for (const [at, unit] of some.entries())
      costs.set(unit, Math.max(others[at]! - base!, base! / 1e4))
  }
  return costs
}

/** What models cost: ms a run on the provider, raced against each other, or bytes. */
async function priceOf(
  models: readonly Model[],
  { feeds }: Judge,
  { least }: MixedOptions,
  { provider, threads, seed, signal }: StageContext,
): Promise<number[]> {
  if (least === 'bytes' || !feeds) return models.map((model) => serializeModel(model).length)
  const contenders = models.map((model) => ({ model, feeds }))
  const times = await race(contenders, { provider, threads, seed, signal, ...timing })
  return times.map(undisturbed)
}

type Attempt = (float: readonly Unit[]) => Promise<Choice>

/** The shortest beginning of a list that reaches the floor while it stays float; undefined where all of it does not. */
async function leastPrefix(
  order: readonly Unit[],
  floor: number,
  attempt: Attempt,
): Promise<Choice | undefined> {
  let low = 0
  let high = 1
  let found: Choice | undefined
  // Few layers are to blame as a rule, so the length is doubled first.
  while (!found) {
    const count = Math.min(high, order.length)
    const choice = await attempt(order.slice(0, count))
    if (choice.quality >= floor) found = choice
    else if (count === order.length) return undefined
    else {
      low = count
      high = count * 2
    }
  }
  while (found.float.length - low > 1) {
    const middle = Math.floor((low + found.float.length) / 2)
    const choice = await attempt(order.slice(0, middle))
    if (choice.quality >= floor) found = choice
    else low = middle
  }
  return found
}

/** Quantizes after all what the floor does not need, the most expensive first: units, then nodes of those that are left. */
async function returnSome(
  reached: Choice,
  costs: ReadonlyMap<Unit, number>,
  floor: number,
  attempt: Attempt,
): Promise<Choice> {
  let best = reached
  const give = async (order: readonly Unit[]) => {
    for (const unit of order.slice(0, mostReturns)) {
      const choice = await attempt(best.float.filter((each) => each !== unit))
      if (choice.quality >= floor) best = choice
    }
  }
  await give([...reached.float].sort((a, b) => costs.get(b)! - costs.get(a)!))
  if (best.float.every(({ length }) => length === 1)) return best
  const nodes = best.float.flat().map((candidate): Unit => [candidate])
  best = { ...best, float: nodes }
  await give(nodes)
  return best
}

async function cheapest(
  choices: readonly Choice[],
  judge: Judge,
  options: MixedOptions,
  context: StageContext,
): Promise<Choice> {
  const prices = await priceOf(
    choices.map(({ model }) => model),
    judge,
    options,
    context,
  )
  return choices[prices.indexOf(Math.min(...prices))]!
}
