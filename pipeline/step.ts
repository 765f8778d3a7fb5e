// Running one stage: found in the cache by the hash of all it depends on, or run under a lock and kept there.
import { rmSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Interrupted, messageOf, throwIfAborted, UserError } from '../base/errors.ts'
import { makeFolder } from '../base/files.ts'
import { hashOf, sha256, sha256OfFile } from '../base/hash.ts'
import type { OpenData } from '../data/open.ts'
import type { Model } from '../onnx/graph.ts'
import { loadModel } from '../onnx/load.ts'
import { modelFiles } from '../onnx/model-files.ts'
import { serializeModel } from '../onnx/save.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { type StageName, stages } from '../stages/index.ts'
import type { Facts, Stage, StageContext } from '../stages/stage.ts'
import { type Entry, findEntry, lockPath, putEntry, sharedFolder, workFolder } from './cache.ts'
import { workOf } from './cost.ts'
import { type Listener, throttled } from './events.ts'
import { withLock } from './lock.ts'
import { mapPaths } from './recipe.ts'

/** A model that stages start from; it is read when it is needed. */
export interface Stored {
  /** Hash of the model's bytes. */
  readonly hash: string
  readonly facts: Facts
  load(): Promise<Model>
}

/** What the result of a stage depends on besides its input, options and data. */
export interface Environment {
  readonly code: string
  readonly runtime: string
  readonly provider: ProviderName
  readonly threads: number
  /** How gradients are expressed in operators. */
  readonly lowering: string
  /** Processors of other kinds round differently. */
  readonly machine: string
}

/** What all steps of a run have in common. */
export interface World {
  readonly environment: Environment
  readonly seed: number
  readonly data: OpenData | undefined
  readonly cacheFolder: string
  readonly signal: AbortSignal | undefined
  readonly listen: Listener
}

/** One stage to be run, with validated options and absolute paths. */
export interface Task {
  readonly id: string
  readonly options: { readonly stage: StageName }
  /** Its number in the run, from 1; the teacher's own training is step 0. */
  readonly step: number
  readonly steps: number
}

/** A finished step. */
export interface Finished extends Stored {
  readonly id: string
  /** Where the cache keeps the model; it is not to be changed. */
  readonly path: string
  readonly cached: boolean
  readonly seconds: number
  /** How long each epoch of its training took. */
  readonly epochSeconds: readonly number[]
}

/** A model's file as something to start from. */
export async function storedFile(path: string): Promise<Stored> {
  return { hash: await hashOfModelFile(path), facts: {}, load: () => loadModel(path) }
}

/** A model in memory as something to start from. */
export function storedModel(model: Model): Stored {
  return { hash: sha256(serializeModel(model)), facts: {}, load: async () => model }
}

/** The hash of a model's file and of the external data that it refers to. */
export async function hashOfModelFile(path: string): Promise<string> {
  const hashes: string[] = []
  for (const file of await modelFiles(path)) hashes.push(await sha256OfFile(file))
  return hashOf(hashes)
}

/** Bytes of a model's file and of its external data. */
export async function sizeOfModelFile(path: string): Promise<number> {
  let bytes = 0
  for (const file of await modelFiles(path)) bytes += (await stat(file)).size
  return bytes
}

/** Whether a stage reads data with these options. */
export function needsData(options: Task['options']): boolean {
  const stage: Stage = stages[options.stage]
  return stage.needsData(options)
}

/** The cache key of a step: a hash of everything that its result depends on. */
export async function keyOf(
  { options }: Task,
  input: Stored,
  teacher: Stored,
  { environment, seed, data }: World,
): Promise<string> {
  // Training curves and summaries are for people; no stage reads them.
  const { epochs: _, summary: __, ...facts } = input.facts
  const parts = needsData(options) ? data?.splits : undefined
  return hashOf({
    options: await withFileHashes(options),
    input: input.hash,
    facts,
    teacher: teacher.hash,
    // Calibration is a part of the training data that seed and options decide; stages never see the test split.
    data: parts && [parts.train.fingerprint, parts.validation.fingerprint],
    seed,
    environment,
  })
}

/** A file counts by its content, wherever it lies. */
async function withFileHashes(options: Task['options']): Promise<unknown> {
  const paths = new Set<string>()
  mapPaths(options, (path) => {
    paths.add(path)
    return path
  })
  const hashes = new Map<string, string>()
  for (const path of paths) hashes.set(path, await hashOfModelFile(path))
  return mapPaths(options, (path) => hashes.get(path) ?? path)
}

/**
 * Runs a step, or finds that it was run before.
 *
 * What goes wrong names the step. An interrupted step leaves its checkpoints, and goes on from them next time.
 */
export async function runStep(
  task: Task,
  input: Stored,
  teacher: Stored,
  world: World,
): Promise<Finished> {
  const { cacheFolder, signal, listen } = world
  const place = { id: task.id, stage: task.options.stage, step: task.step, steps: task.steps }
  const log = (message: string) => listen({ event: 'log', id: task.id, message })
  try {
    throwIfAborted(signal)
    listen({ event: 'stage-start', ...place })
    const key = await keyOf(task, input, teacher, world)
    const onWait = (heldBy: number) =>
      log(`waiting for process ${heldBy}, which is running the same stage`)
    const finished = await withLock(lockPath(cacheFolder, key), { signal, onWait }, async () => {
      const found = await findEntry(cacheFolder, key, log)
      if (found) return finishedFrom(task, found, true)
      return finishedFrom(task, await work(task, key, input, teacher, world), false)
    })
    const { cached, seconds, facts, path } = finished
    const sizeBytes = await sizeOfModelFile(path)
    listen({ event: 'stage-done', ...place, cached, seconds, sizeBytes, summary: facts.summary })
    return finished
  } catch (thrown) {
    throw signal?.aborted ? new Interrupted() : inStep(place, thrown)
  }
}

async function work(
  { id, options }: Task,
  key: string,
  input: Stored,
  teacher: Stored,
  world: World,
): Promise<Entry> {
  const { cacheFolder, environment, signal, listen } = world
  const stage: Stage = stages[options.stage]
  const folder = workFolder(cacheFolder, key)
  makeFolder(folder)
  const clock = epochClock()
  const forward = throttled((progress) => listen({ event: 'progress', id, ...progress }))
  const data = needsData(options) ? world.data?.splits : undefined
  const context: StageContext = {
    teacher: await teacher.load(),
    data,
    seed: world.seed,
    threads: environment.threads,
    provider: environment.provider,
    folder,
    shared: sharedFolder(cacheFolder),
    signal,
    log: (message) => listen({ event: 'log', id, message }),
    progress(progress) {
      clock.tick(progress.epoch)
      forward(progress)
    },
  }
  const model = await input.load()
  const start = performance.now()
  const result = await stage.run({ model, facts: input.facts }, options, context)
  throwIfAborted(signal)
  const seconds = (performance.now() - start) / 1000
  const amount = data && (await workOf({ options }, model, data, world.seed))
  const entry = await putEntry(cacheFolder, key, result, {
    stage: options.stage,
    seconds,
    work: amount ?? 0,
    epochSeconds: clock.seconds(result.facts.epochs?.length ?? 0),
  })
  rmSync(folder, { recursive: true, force: true })
  return entry
}

/** Times epochs by the progress that a stage reports, for stages themselves have no clock. */
function epochClock() {
  const times = new Map<number, number>()
  let current: number | undefined
  let start = 0
  return {
    tick(epoch: number | undefined) {
      if (epoch === undefined || epoch === current) return
      const now = performance.now()
      if (current !== undefined) times.set(current, (now - start) / 1000)
      current = epoch
      start = now
    },
    /** Epochs that an earlier, interrupted run did are not timed and count as the mean of the others. */
    seconds(epochs: number): number[] {
      this.tick(epochs + 1)
      const mean = [...times.values()].reduce((sum, time) => sum + time / times.size, 0)
      return Array.from({ length: epochs }, (_, index) => times.get(index + 1) ?? mean)
    },
  }
}

const finishedFrom = (
  { id }: Task,
  { modelPath, hash, facts, manifest }: Entry,
  cached: boolean,
): Finished => ({
  id,
  path: modelPath,
  hash,
  facts,
  load: () => loadModel(modelPath),
  cached,
  seconds: manifest.seconds,
  epochSeconds: manifest.epochSeconds,
})

/** Says which step an error comes from, and keeps apart what the user can mend and what is a bug. */
function inStep(
  { id, step, steps }: { readonly id: string; readonly step: number; readonly steps: number },
  thrown: unknown,
): unknown {
  if (thrown instanceof Interrupted) return thrown
  const where = step === 0 ? `stage '${id}'` : `stage '${id}' (step ${step} of ${steps})`
  const message = `${where}: ${messageOf(thrown)}`
  return thrown instanceof UserError
    ? new UserError(message, { cause: thrown })
    : new Error(message, { cause: thrown })
}
