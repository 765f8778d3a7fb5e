// Cutting until a model is as fast as wanted, measured: the widths come from a table of what each group saves, and the
// whole model has the last word.
import { throwIfAborted, UserError } from '../../base/errors.ts'
import type { Contender } from '../../benchmarks/race.ts'
import type { RatioWithInterval } from '../../benchmarks/statistics.ts'
import { copiedGroups } from '../../channels/copied.ts'
import { type Counts, forecastMacs } from '../../channels/forecast.ts'
import type { Group } from '../../channels/groups.ts'
import { restoreInterface } from '../../channels/prepare.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import type { Tensor } from '../../onnx/tensor.ts'
import { bindInputs, freeDims } from '../../runtime/bind.ts'
import { feederFor } from '../../runtime/feed.ts'
import { type ProviderName, providers } from '../../runtime/providers.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { inputsOf } from '../feeding.ts'
import { percent } from '../shares.ts'
import type { StageContext } from '../stage.ts'
import type { LatencyGoal } from './amount.ts'
import { anyFeeds } from './neighbourhood.ts'
import type { GroupLimit } from './rounding.ts'
import { type Conditions, cutFirst, type Timetable, timetable } from './timetable.ts'
import { chooseWidths, type WidthProblem } from './widths.ts'

/** What is to be made faster. */
export interface LatencySubject {
  /** The model whose groups are cut, prepared. */
  readonly model: Model
  /** The same as it was given. */
  readonly given: Model
  /** The model whose time counts as 1, as it was given; `given` itself unless it was pruned before. */
  readonly original: Model
  readonly groups: readonly Group[]
  limitOf(group: Group): GroupLimit
  lost(group: Group, count: number): number
}

/** Whole models that are measured at most on the way to a target. */
const mostAttempts = 6
/** A model that is so much faster than wanted may be a little wider. */
const closeEnough = 0.96
/** Aimed at, of the share that is wanted: measurements differ. */
const caution = 0.985

/**
 * Finds how many channels of each group go so that the cut model takes at most the wanted shares of the original's
 * time, measured on each provider at each batch size, a thread each.
 *
 * A provider that is not here, and shares that cannot be reached, are a {@link UserError}.
 */
export async function reachLatency(
  subject: LatencySubject,
  wanted: readonly LatencyGoal[],
  context: StageContext,
): Promise<Map<Group, number>> {
  await requireProviders(wanted)
  const { groups, limitOf, lost } = subject
  const choices = new Map(groups.map((group) => [group, measuredCounts(group, limitOf(group))]))
  const meters: Meter[] = []
  for (const goal of wanted) meters.push(await meterFor(subject, goal, choices, context))
  return await search({ choices, lost, goals: [] }, meters, context)
}

async function requireProviders(wanted: readonly LatencyGoal[]): Promise<void> {
  for (const { provider } of wanted) {
    const found = await providers[provider].available()
    if (!found.available)
      throw new UserError(
        `target.latency.${provider}: the provider is not available: ${found.reason}`,
      )
  }
}

/**
 * Opens the measurement of smaller versions of a model: what share of the original's time one takes, goal by goal.
 *
 * They are given with the interface of the model; each is measured once. A provider that is not here is a
 * {@link UserError}.
 */
export async function openShares(
  subject: Pick<LatencySubject, 'model' | 'given' | 'original'>,
  goals: readonly LatencyGoal[],
  context: StageContext,
): Promise<(smaller: Model) => Promise<number[]>> {
  await requireProviders(goals)
  const where = ({ provider }: LatencyGoal) => `target.latency.${provider}`
  const times: Timetable[] = []
  for (const goal of goals) times.push(await openTimes(subject, goal, where(goal), context))
  const said = new Set<string>()
  return async (smaller) => {
    throwIfAborted(context.signal)
    const shares: number[] = []
    for (const [at, goal] of goals.entries()) {
      const contender = await shaped(smaller, goal.batch, where(goal), context)
      shares.push((await times[at]!.ratio(contender)).value)
    }
    const line = describeShares(goals, shares)
    if (!said.has(line)) context.log(line)
    said.add(line)
    return shares
  }
}

/** What was measured, and whether it is as wanted. */
function describeShares(goals: readonly LatencyGoal[], shares: readonly number[]): string {
  const found = goals.map((goal, at) => `${percent(shares[at]!)} of the time on ${nameOf(goal)}`)
  const isEnough = goals.every(({ share }, at) => shares[at]! <= share)
  return `measured: ${found.join(', ')}${isEnough ? '' : ', not yet enough'}`
}

/** One goal, what is predicted for it, and how it is measured. */
interface Meter extends LatencyGoal {
  /** The time that is predicted after a cut, as a share of the original's. */
  predict(counts: Counts): number
  /** Takes a measured share into later predictions. */
  correct(counts: Counts, measured: number): void
  /** Measures a cut. */
  measure(counts: Counts): Promise<RatioWithInterval>
}

/**
 * Solves, measures, and solves again for a little more or less, until the time is a little below what is wanted.
 *
 * What is predicted is corrected by the first measurement; then only the aim moves, between one that was missed and
 * one that was reached.
 */
async function search(
  { choices, lost }: WidthProblem,
  meters: readonly Meter[],
  { log, signal }: StageContext,
): Promise<Map<Group, number>> {
  const most = widest(choices)
  const measured = new Map<string, number[]>()
  let [reached, missed] = [0, Number.POSITIVE_INFINITY]
  let best: Map<Group, number> | undefined
  let aim = caution
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    throwIfAborted(signal)
    const goals = meters.map(({ predict, share }) => ({ share: predict, limit: share * aim }))
    const counts = chooseWidths({ choices, lost, goals }) ?? most
    const key = keyOf(counts)
    const isNew = !measured.has(key)
    const ratios = measured.get(key) ?? []
    if (isNew) for (const meter of meters) ratios.push((await meter.measure(counts)).value)
    measured.set(key, ratios)
    // How much of what is wanted the worst of them takes.
    const worst = Math.max(...meters.map(({ share }, at) => ratios[at]! / share))
    if (isNew) log(describeShares(meters, ratios))
    if (worst <= 1) {
      best = counts
      reached = Math.max(reached, aim)
      if (worst > closeEnough) break
    } else {
      if (key === keyOf(most)) break
      missed = Math.min(missed, aim)
    }
    if (attempt === 0)
      for (const [at, meter] of meters.entries()) meter.correct(counts, ratios[at]!)
    else if (missed < Number.POSITIVE_INFINITY && reached > 0) {
      if (missed / reached < 1.02) break
      aim = Math.sqrt(missed * reached)
    } else aim *= (worst <= 1 ? closeEnough + 0.02 : caution) / worst
    // The first measurement changes what the aims mean.
    if (attempt === 0) [reached, missed] = [0, Number.POSITIVE_INFINITY]
  }
  if (best) return best
  throw await unreachable(most, meters)
}

async function unreachable(most: Counts, meters: readonly Meter[]): Promise<UserError> {
  const least: number[] = []
  for (const meter of meters) least.push((await meter.measure(most)).value)
  const worst = meters.map((meter, at) => ({ meter, least: least[at]! }))
  worst.sort((a, b) => b.least / b.meter.share - a.least / a.meter.share)
  const [{ meter, least: reached }] = worst as [(typeof worst)[number]]
  return new UserError(
    `target.latency.${meter.provider}: cannot be reached: ${Number(meter.share.toFixed(4))} at batch ${meter.batch} — ${reached.toFixed(3)} is the least that was measured with these layers; lower 'keep', or choose more layers`,
  )
}

/** The most that may go of every group. */
const widest = (choices: WidthProblem['choices']): Map<Group, number> =>
  new Map(
    [...choices].flatMap(([group, counts]) => {
      const count = counts.at(-1)
      return count === undefined ? [] : [[group, count] as const]
    }),
  )

const keyOf = (counts: Counts): string =>
  [...counts]
    .filter(([, count]) => count > 0)
    .map(([{ name }, count]) => `${name} ${count}`)
    .sort()
    .join()

const nameOf = ({ provider, batch }: LatencyGoal): string => `${provider} at batch ${batch}`

/** Widths that are measured of each group at most. */
const mostWidths = 8

/** The counts of a group whose time is worth measuring: those that leave multiples of what vectors are wide. */
export function measuredCounts(
  { channels }: Pick<Group, 'channels'>,
  { least, round }: GroupLimit,
): number[] {
  const natural = channels > 16 ? 8 : channels > 4 ? 4 : 1
  const step = round > 1 ? round : natural
  const widths: number[] = []
  for (let width = Math.ceil(least / step) * step; width < channels; width += step)
    widths.push(width)
  const every = Math.ceil(widths.length / mostWidths)
  // Coarser steps stay multiples of the finer one: 8, 16, 24, 32 thin out to 16, 32.
  const kept = widths.filter((width) => (width / step) % every === 0)
  return kept.map((width) => channels - width).sort((a, b) => a - b)
}

/** Makes a goal ready to be predicted and measured. */
async function meterFor(
  subject: LatencySubject,
  goal: LatencyGoal,
  choices: WidthProblem['choices'],
  context: StageContext,
): Promise<Meter> {
  const { model, given, original, groups } = subject
  const where = `target.latency.${goal.provider}`
  const times = await openTimes(subject, goal, where, context)
  const shapedFor = (one: Model) => shaped(one, goal.batch, where, context)
  const before = given === original ? 1 : (await times.ratio(await shapedFor(given))).value
  await times.learn(choices)
  if (times.timed > 0) context.log(`timed ${times.timed} small models on ${nameOf(goal)}`)
  const together = togetherness(model)
  let factor = 1
  const raw = (counts: Counts) => together(counts) * singles(times, counts)
  return {
    ...goal,
    predict: (counts) => before - factor * raw(counts),
    correct(counts, measured) {
      const saved = raw(counts)
      if (saved > 0) factor = Math.max(0.1, (before - measured) / saved)
    },
    async measure(counts) {
      const copy = cloneModel(model)
      const own = copiedGroups(model, copy, groups)
      cutFirst(copy, new Map([...counts].map(([group, count]) => [own.get(group)!, count])))
      restoreInterface(copy, given)
      return await times.ratio(await shapedFor(copy))
    },
  }
}

/** Opens the times of a model whose groups are to be cut, in the unit of the original's time. */
export async function openTimes(
  { model, given, original }: Pick<LatencySubject, 'model' | 'given' | 'original'>,
  { provider, batch }: Pick<Conditions, 'provider' | 'batch'>,
  where: string,
  context: StageContext,
): Promise<Timetable> {
  const restored = cloneModel(model)
  restoreInterface(restored, given)
  const types = typesIn((await shaped(restored, batch, where, context)).model)
  const unpruned = await shaped(original, batch, where, context)
  return await timetable(
    { prepared: model, typeOf: (name) => types.get(name), unpruned },
    { provider, batch, threads: threadsFor(provider, context) },
    context,
  )
}

/** One thread; WebAssembly has as many in one process as its first session had. */
const threadsFor = (provider: ProviderName, context: StageContext): number =>
  provider === context.provider && providers[provider].package === 'onnxruntime-web'
    ? context.threads
    : 1

/** What groups save by themselves, added up. */
const singles = ({ saved }: Timetable, counts: Counts): number =>
  [...counts].reduce((sum, [group, count]) => sum + saved(group, count), 0)

/**
 * How much of what groups save by themselves they save together: two that make a layer smaller, one from its inputs
 * and one from its outputs, save less than their sum. Multiplications say how much less.
 */
function togetherness(model: Model): (counts: Counts) => number {
  const macs = forecastMacs(model)
  const all = macs?.(new Map())
  if (!macs || !all) return () => 1
  const alone = new Map<string, number>()
  const savedAlone = (group: Group, count: number) => {
    const key = `${group.name} ${count}`
    const known = alone.get(key)
    if (known !== undefined) return known
    const saved = all - macs(new Map([[group, count]]))
    alone.set(key, saved)
    return saved
  }
  return (counts) => {
    const sum = [...counts].reduce((total, [group, count]) => total + savedAlone(group, count), 0)
    return sum > 0 ? (all - macs(counts)) / sum : 1
  }
}

const typesIn = ({ graph }: Model) =>
  new Map(
    [...graph.inputs, ...graph.nodes.flatMap(({ outputs }) => outputs)].flatMap((value) =>
      value ? [[value.name, value.type] as const] : [],
    ),
  )

/** A model with its shapes stated for a batch size, and something to feed it: data where there is some. */
async function shaped(
  given: Model,
  batch: number,
  where: string,
  { data }: StageContext,
): Promise<Contender> {
  const model = cloneModel(given)
  const samples = data?.calibration.size ? data.calibration : data?.train
  let feeds: Readonly<Record<string, Tensor>> | undefined
  let dims = {}
  if (samples) {
    const inputs = inputsOf(given.graph)
    const feeder = feederFor({ inputs }, samples, { batch, where, exactly: true })
    feeder.load(Array.from({ length: feeder.batch }, (_, row) => row % samples.size))
    feeds = { ...feeder.feeds(0), ...feeder.begin() }
    const { ...free } = freeDims(inputs, bindInputs(inputs, samples, where), feeder.batch)
    dims = free
  }
  await inferShapes(model, { batch, dims, where })
  feeds ??= anyFeeds(model)
  if (feeds) return { model, feeds }
  const open = model.graph.feeds.find(
    ({ type }) => !type?.shape?.every((dim) => typeof dim === 'number'),
  )
  throw new UserError(
    `${where}: the sizes of input '${open?.name}' are not known: [${open?.type?.shape?.map((dim) => dim ?? '?').join(',') ?? '?'}] — give data`,
  )
}
