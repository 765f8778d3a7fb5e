// What is measured of all models on one provider: whether it is here, whether it computes what the CPU does, which
// nodes it takes, and how fast it is.
import { availableParallelism } from 'node:os'
import { throwIfAborted } from '../base/errors.ts'
import type { Dataset } from '../data/dataset.ts'
import { predictionsIn } from '../runtime/predict.ts'
import {
  type Availability,
  type ProviderName,
  providerNamed,
  providers,
} from '../runtime/providers.ts'
import type { Task } from '../tasks/task.ts'
import { CellFailure, type CellProcess } from './cell-process.ts'
import {
  type Cell,
  type CellOptions,
  type Cells,
  closeCells,
  failureOf,
  inParallel,
  isOpen,
  openCells,
} from './cells.ts'
import { coldStarts } from './cold-start.ts'
import { flat, type LatencyOptions, measureRounds, summarise, type Timing } from './latency.ts'
import { roundSpread } from './noise.ts'
import { pin } from './pinning.ts'
import { evenlySpread, truthOf } from './sampling.ts'
import { evenlyOrdered } from './statistics.ts'
import { amend, type Findings, markUnavailable, runsOn } from './subject.ts'

/** What all providers are measured with. */
export interface ProviderContext extends Omit<CellOptions, 'provider' | 'threads'> {
  readonly task: Task
  readonly data: Dataset
  readonly seed: number
  readonly latency: LatencyOptions
  /** The order in which latency takes the samples. */
  readonly order: Uint32Array
  readonly agreementSamples: number
  /** A folder for files while the benchmark runs. */
  readonly workFolder: string
  readonly log: (message: string) => void
  /** Told what comes next and how many of the provider's four units for each model it takes. */
  readonly progress: (what: string, units: number) => void
}

/**
 * Measures all models on a provider and notes what was found, or the reason why nothing was.
 *
 * `opened` may hold cells with one thread that are open already; they stay open.
 */
export async function measureProvider(
  findings: readonly Findings[],
  provider: ProviderName,
  shared: ProviderContext,
  opened?: Cells,
): Promise<void> {
  throwIfAborted(shared.signal)
  shared.progress(`${provider}: opening`, findings.length)
  const availability = await providers[provider].available()
  if (!availability.available) {
    shared.log(`provider '${provider}' is not available: ${availability.reason}`)
    for (const found of findings) markUnavailable(found, provider, availability.reason)
    shared.progress(`${provider}: not available`, findings.length * 3)
    return
  }
  const software = availability.software === true
  const context = software ? { ...shared, ...softwareLimits(shared) } : shared
  const withCells = async (threads: number, use: (cells: Cells) => Promise<void>) => {
    const subjects = findings.map(({ subject }) => subject)
    const given = threads === 1 ? opened : undefined
    const cells = given ?? (await openCells(subjects, { ...context, provider, threads }))
    try {
      await use(cells)
    } finally {
      if (!given) await closeCells(cells)
    }
  }
  await withCells(1, async (cells) => {
    for (const found of findings) begin(found, provider, availability, cells, context)
    // A device does one thing at a time.
    const concurrency = providers[provider].device === 'gpu' ? 1 : context.concurrency
    await inParallel(findings, concurrency, (found) => check(found, provider, cells, context))
    await measureLatency(findings, provider, 1, cells, context)
    if (!software) await coldStarts(findings, provider, cells, context)
  })
  for (const threads of threadCounts(context.latency, provider).filter((count) => count > 1))
    await withCells(threads, (cells) => measureLatency(findings, provider, threads, cells, context))
}

/**
 * So many rounds the headline has, however slow a model is: of fewer pairs of rounds even those that all agree are not
 * significant at 5 % (the sign test's 2 / 2⁵).
 */
const fewestRounds = 6

/** What is measured on a GPU that the CPU imitates, whose times mean nothing: few samples, and the headline alone. */
function softwareLimits({ latency, agreementSamples }: ProviderContext) {
  return {
    agreementSamples: Math.min(agreementSamples, 16),
    latency: { ...latency, batches: [1], seconds: latency.seconds / 2 },
  }
}

/** Notes whether a model could be opened on a provider. */
function begin(
  found: Findings,
  provider: ProviderName,
  { software, detail }: Extract<Availability, { available: true }>,
  cells: Cells,
  context: ProviderContext,
): void {
  const cell = cells.get(found.subject.id)
  if (isOpen(cell))
    amend(found, provider, {
      ...(software && { software }),
      ...(detail !== undefined && { detail }),
      peakMemoryBytes: cell.peakMemoryBytes,
    })
  // The reason why a model is no result has been told already.
  else if (cell?.message === found.failed) markUnavailable(found, provider, found.failed ?? '')
  else fail(found, provider, cell?.message ?? 'it was not opened', context)
}

/** The numbers of threads that are measured; 1 stands for itself and where the provider decides. */
function threadCounts({ threads }: LatencyOptions, provider: ProviderName): number[] {
  const cores = availableParallelism()
  const counts = threads.map((count) => (count === 'all' ? cores : count))
  const wanted = providers[provider].threads ? counts.filter((count) => count <= cores) : []
  return [...new Set([1, ...wanted])]
}

function fail(
  found: Findings,
  provider: ProviderName,
  reason: string,
  { log }: ProviderContext,
): void {
  log(`${found.subject.id}: ${provider}: ${reason}`)
  markUnavailable(found, provider, reason)
}

/** Compares a model's outputs with those on the CPU, and counts the nodes that the provider takes. */
async function check(
  found: Findings,
  provider: ProviderName,
  cells: Cells,
  context: ProviderContext,
): Promise<void> {
  const cell = cells.get(found.subject.id)
  if (!isOpen(cell) || !runsOn(found, provider)) return
  try {
    const placement = await cell.process.ask('placement', {})
    const { device } = providers[provider]
    if (device === 'gpu' && !placement)
      throw new CellFailure('ONNX Runtime does not tell which nodes it ran, so nothing is claimed')
    if (placement?.nodesOnProvider === 0 && placement.nodesElsewhere > 0)
      throw new CellFailure(`all of its ${placement.nodesElsewhere} nodes fell back to the CPU`)
    amend(found, provider, placement ?? {})
    if (provider !== 'cpu' && found.predictions)
      amend(found, provider, await agreement(found, cell, context))
  } catch (thrown) {
    fail(found, provider, failureOf(thrown).message, context)
  }
}

/** The share of evenly spread test samples for which the provider decides as the CPU does. */
async function agreement(
  { predictions, normalise }: Findings,
  { process }: Cell,
  { task, data, agreementSamples }: ProviderContext,
) {
  const indices = evenlySpread(data, agreementSamples)
  const count = indices.length
  const { outputs, width, widths } = await process.ask('predict', {
    indices,
    outputs: task.outputs,
  })
  const own = normalise(predictionsIn(outputs, widths))
  const cpu = {
    size: count,
    width,
    widths,
    row: (index: number) => predictions!.row(indices[index]!),
  }
  return {
    agreementWithCpu: task.agreement(cpu, own, truthOf(data, indices)),
    agreementSamples: count,
  }
}

/** Measures the latency of all models at every batch size, the headline first. */
async function measureLatency(
  findings: readonly Findings[],
  provider: ProviderName,
  threads: number,
  cells: Cells,
  context: ProviderContext,
): Promise<void> {
  const { latency, order, seed, signal, progress, log } = context
  const counts = threadCounts(latency, provider).length
  const fixed = [...cells.values()].flatMap((cell) => (isOpen(cell) ? (cell.fixedBatch ?? []) : []))
  const batches = [...new Set([1, ...latency.batches, ...fixed])]
  for (const batch of batches) {
    throwIfAborted(signal)
    progress(
      `${provider}: latency, batch ${batch}, ${threads} thread${threads === 1 ? '' : 's'}`,
      (findings.length * 3) / counts / batches.length,
    )
    const takes = ({ fixedBatch }: Cell) =>
      fixedBatch === undefined
        ? batch === 1 || latency.batches.includes(batch)
        : fixedBatch === batch
    const ready = new Map<string, CellProcess>()
    for (const found of findings) {
      const cell = cells.get(found.subject.id)
      if (isOpen(cell) && takes(cell) && runsOn(found, provider))
        ready.set(found.subject.id, cell.process)
    }
    const headline = batch === 1 && threads === 1
    const { device, browser } = providerNamed(provider)
    // Several threads need several cores, the driver of a device has threads of its own, a browser many processes.
    const isAlone = threads === 1 && device === 'cpu' && !browser
    const pids = [...ready.values()].flatMap(({ pid }) => pid ?? [])
    const pinned = isAlone ? await pin(pids) : undefined
    const { timings, otherLoad } = await measureRounds(ready, {
      batch,
      rounds: latency.rounds,
      runs: latency.runs,
      seconds: batch === 1 ? latency.seconds : latency.seconds / 2,
      indices: order,
      seed,
      disturbedMs: threads > 1 ? 20 : 0,
      fewestRounds: headline ? fewestRounds : 3,
    }).finally(pinned?.release)
    throwIfAborted(signal)
    const settings = {
      ...{ batch, threads, headline, pinned: pinned?.core },
      // What a browser does is ours too.
      otherLoad: browser ? undefined : otherLoad,
    }
    for (const found of findings) {
      const { id } = found.subject
      const result = timings.get(id)
      if (result === undefined) continue
      if (!(result instanceof Error)) note(found, provider, result, settings)
      else if (headline) fail(found, provider, failureOf(result).message, context)
      else log(`${id}: ${provider}, batch ${batch}, threads ${threads}: ${result.message}`)
    }
  }
}

/** How times were measured. */
interface TimingSettings {
  readonly batch: number
  readonly threads: number
  readonly headline: boolean
  readonly otherLoad: number | undefined
  /** The core that the process was kept on. */
  readonly pinned: number | undefined
}

function note(
  found: Findings,
  provider: ProviderName,
  { rounds, timeInModel, joules }: Timing,
  { batch, threads, headline, otherLoad, pinned }: TimingSettings,
): void {
  const summary = {
    ...summarise(rounds, batch, providers[provider].threads ? threads : 0),
    timeInModel,
  }
  found.timed.set(provider, [...(found.timed.get(provider) ?? []), { rounds, summary }])
  if (!headline) return
  const { p50Ms, p90Ms, p99Ms, p999Ms, meanMs, deviationMs, throughput } = summary
  const spread = roundSpread(rounds)
  amend(found, provider, {
    ...{ p50Ms, p90Ms, p99Ms, p999Ms, meanMs, deviationMs, throughput },
    times: evenlyOrdered(flat(rounds), 101),
    ...(joules !== undefined && providers[provider].device === 'cpu' && { energyJoules: joules }),
    ...(pinned !== undefined && { pinned }),
    noise: {
      ...(spread !== undefined && { spread }),
      ...(otherLoad !== undefined && { otherLoad }),
    },
  })
}
