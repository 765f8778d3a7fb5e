// Measures a teacher and its variants: size, accuracy, retention, and on every provider latency, memory and whether it
// computes what the CPU does. Every number of a running model comes from a process of its own.
import { setMaxListeners } from 'node:events'
import { readdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { throwIfAborted, UserError } from '../base/errors.ts'
import { makeFolder } from '../base/files.ts'
import { hashOf } from '../base/hash.ts'
import { random } from '../base/random.ts'
import type { Dataset } from '../data/dataset.ts'
import { loadModel } from '../onnx/load.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { checkWidth } from '../tasks/check.ts'
import { type TaskName, tasks } from '../tasks/index.ts'
import type { Task } from '../tasks/task.ts'
import { type Cells, closeCells, failureOf, inParallel, isOpen, openCells } from './cells.ts'
import { findForgotten, type SamplesOptions } from './forgotten.ts'
import { type KnowledgeOptions, measureKnowledge } from './knowledge/measure.ts'
import { defaultLatency, type LatencyOptions } from './latency.ts'
import { measureLayers } from './layers/measure.ts'
import { type OpenPredictions, openPredictions } from './predictions-file.ts'
import { measureProvider, type ProviderContext } from './provider.ts'
import type { ForgottenSample, Variant } from './report/report.ts'
import { type Rivals, rivalsOf } from './rivals.ts'
import { measureSize } from './size.ts'
import type { Findings, Subject } from './subject.ts'
import { inFile } from './test-data.ts'
import { variantOf } from './variant.ts'

/** What is measured, with what, and how. */
export interface BenchmarkRequest {
  readonly teacher: Subject
  readonly variants: readonly Subject[]
  /** The test split. */
  readonly data: Dataset
  readonly providers: readonly ProviderName[]
  /** A folder for the samples while the benchmark runs. */
  readonly workFolder: string
  readonly seed: number
  /** `classification` unless told. */
  readonly task?: TaskName
  /** What is not given here is as in `defaultLatency`; `threads` above the number of cores are left out. */
  readonly latency?: Partial<LatencyOptions>
  /**
   * Test samples, evenly spread, for which other providers are compared with the CPU; 256 unless told, for a
   * provider without hardware takes minutes for thousands.
   */
  readonly agreementSamples?: number
  /** How what is left of the teacher's knowledge is measured; false for not at all. */
  readonly knowledge?: KnowledgeOptions | false
  /** False where the samples are made up, so that outputs for them say nothing; judged unless told. */
  readonly judged?: boolean
  /** Whether the layers of every model are profiled on the CPU; not unless told. */
  readonly layers?: boolean
  /** How samples that were forgotten are shown; none are unless told. */
  readonly samples?: SamplesOptions
  /** Variants that are compared with others too, each with the ids of these; with the teacher alone unless told. */
  readonly rivals?: Rivals
  /** A process that owes an answer and says nothing for so long is given up, ms; two minutes unless told. */
  readonly silenceMs?: number
  readonly signal?: AbortSignal | undefined
  /** Told how far the benchmark is (0..1) and what it does next. */
  readonly onProgress?: (progress: { readonly done: number; readonly what: string }) => void
  /**
   * Told between two measurements what is known by then of the models that have been run. Nothing is timed before what it
   * returns is settled, so that whoever shows it disturbs nothing.
   */
  readonly onKnown?: ((known: Measured) => void | Promise<void>) | undefined
  readonly log?: (message: string) => void
}

/** What was measured. */
export interface Measured {
  readonly teacher: Variant
  readonly variants: readonly Variant[]
  /** Samples that were forgotten, where there are some to be shown. */
  readonly samples?: readonly ForgottenSample[]
}

/**
 * Measures all models and compares them with the teacher.
 *
 * What fails costs a cell of the table, with its reason. A file that is no model, and a teacher that does not fit the
 * data, are a {@link UserError}; aborting the signal ends all processes and throws `Interrupted`.
 */
export async function benchmark(request: BenchmarkRequest): Promise<Measured> {
  const { signal } = request
  // Every process listens for the end; more than ten of them on the caller's own signal look like a leak to Node.
  const ending = new AbortController()
  setMaxListeners(0, ending.signal)
  const abort = () => ending.abort()
  signal?.addEventListener('abort', abort, { once: true })
  if (signal?.aborted) abort()
  try {
    return await measureAll({ ...request, signal: ending.signal })
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

async function measureAll(request: BenchmarkRequest): ReturnType<typeof benchmark> {
  const { data, seed, signal, workFolder, providers } = request
  const subjects = [request.teacher, ...request.variants]
  const task: Task = tasks[request.task ?? 'classification']
  const { knowledge = {} } = request
  const units = 4 + (knowledge ? 2 : 0) + (request.layers ? 1 : 0) + providers.length * 4
  const progress = meter(subjects.length * units, request.onProgress)
  throwIfAborted(signal)
  if (data.size === 0) throw new UserError('test data: there are no samples — use other data')
  if (task.target === 'class' && data.labels.every((label) => label < 0))
    throw new UserError(
      'test data: no sample has a label — use data with labels, or task: match, which compares outputs with the teacher',
    )

  const findings: Findings[] = []
  for (const subject of subjects) {
    throwIfAborted(signal)
    progress(`${subject.id}: size`, 1)
    findings.push(await inspect(subject, task))
  }
  makeFolder(workFolder)
  const open: OpenPredictions[] = []
  try {
    const context: ProviderContext = {
      task,
      data,
      recipe: inFile(data.recipe, join(workFolder, 'test.records')),
      workFolder,
      seed,
      concurrency: availableParallelism(),
      silenceMs: request.silenceMs ?? 120_000,
      signal,
      latency: { ...defaultLatency, ...request.latency },
      order: random(seed, 'benchmark', 'samples').permutation(data.size),
      agreementSamples: request.agreementSamples ?? 256,
      log: request.log ?? (() => undefined),
      progress,
    }
    const judging = { ...context, judged: request.judged !== false }
    const tell = teller(findings, judging, request.onKnown)
    const cells = await openCells(subjects, { ...context, provider: 'cpu', threads: 1 })
    try {
      await evaluate(findings, cells, open, context, tell)
      if (providers.includes('cpu')) {
        await measureProvider(findings, 'cpu', context, cells)
        await tell()
      }
      // Last, for what this does to the memory of the processes must not show in their latency.
      if (knowledge) {
        await measureKnowledge(findings, cells, context, knowledge)
        await tell()
      }
      if (request.layers) await measureLayers(findings, cells, context)
    } finally {
      await closeCells(cells)
    }
    for (const provider of providers.filter((name) => name !== 'cpu')) {
      await tell()
      await measureProvider(findings, provider, context)
    }
    throwIfAborted(signal)
    const forgotten = await findForgotten(findings, context, request.samples)
    const rows = findings.map((found) => variantOf(found, findings, judging))
    const [teacher, ...variants] = rows.map((row, at) => {
      const against = rivalsOf(row, request.rivals ?? {}, { rows, findings }, context)
      const lost = forgotten?.variants.get(findings[at]!.subject.id)
      return { ...row, ...(against && { against }), ...(lost && { forgotten: lost }) }
    })
    const samples = forgotten?.samples ?? []
    return { teacher: teacher!, variants, ...(samples.length > 0 && { samples }) }
  } finally {
    for (const predictions of open) predictions.close()
    for (const name of readdirSync(workFolder))
      if (/\.(records|predictions)$/.test(name)) rmSync(join(workFolder, name), { force: true })
  }
}

/** What the file itself tells. */
async function inspect(subject: Subject, task: Task): Promise<Findings> {
  const model = await loadModel(subject.path)
  return {
    subject,
    size: await measureSize(subject.path, model),
    normalise: task.normaliser(model.graph),
    macs: null,
    bytesMoved: null,
    predictions: undefined,
    failed: undefined,
    knowledge: undefined,
    layers: undefined,
    providers: new Map(),
    timed: new Map(),
    starts: new Map(),
  }
}

/** Gives what tells somebody of the models that have been run, one time after the other however many ask at once. */
function teller(
  findings: readonly Findings[],
  judging: Parameters<typeof variantOf>[2],
  onKnown: BenchmarkRequest['onKnown'],
): () => Promise<void> {
  let last = Promise.resolve()
  const tellNow = async () => {
    // Without the teacher's answers there is nothing to compare with.
    if (!onKnown || !findings[0]?.predictions) return
    const [teacher, ...variants] = findings
      .filter(({ predictions, failed }) => predictions ?? failed)
      .map((found) => variantOf(found, findings, judging))
    await onKnown({ teacher: teacher!, variants })
  }
  return () => {
    last = last.then(tellNow)
    return last
  }
}

/** Runs every model over the whole test split on the CPU; the predictions are added to `open`. */
async function evaluate(
  findings: readonly Findings[],
  cells: Cells,
  open: OpenPredictions[],
  { task, data, concurrency, progress, log, signal, workFolder }: ProviderContext,
  done: () => Promise<void>,
): Promise<void> {
  await inParallel(findings, concurrency, async (found) => {
    const { id, file } = found.subject
    throwIfAborted(signal)
    progress(`${id}: accuracy`, 3)
    const path = join(workFolder, `${hashOf(id).slice(0, 16)}.predictions`)
    try {
      const cell = cells.get(id)
      if (!isOpen(cell)) throw cell
      const written = await cell.process.ask('predictAll', { path, outputs: task.outputs })
      checkWidth(task, written.width, data, file)
      const predictions = openPredictions(written)
      open.push(predictions)
      found.predictions = found.normalise(predictions)
      const { macs, bytesMoved } = await cell.process.ask('cost', {})
      Object.assign(found, { macs: macs ?? null, bytesMoved: bytesMoved ?? null })
    } catch (thrown) {
      const { message, user } =
        thrown instanceof UserError ? { message: thrown.message, user: true } : failureOf(thrown)
      // A file that cannot be written, as on a full disk, is no fault of the model.
      const isOurs = message.startsWith(`${path}: `)
      if (user && (isOurs || found === findings[0])) throw new UserError(message, { cause: thrown })
      // Outputs are the point; without a count of operations there is still a result.
      if (!found.predictions) found.failed = message
      log(`${id}: ${message}`)
    }
    await done()
  })
}

/** Adds up the work that is done; the share never reaches 1 before the end. */
function meter(total: number, report: BenchmarkRequest['onProgress']) {
  let spent = 0
  return (what: string, units: number) => {
    report?.({ done: Math.min(1, spent / total), what })
    spent += units
  }
}
