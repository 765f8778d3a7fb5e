// Running one stage: found in the cache by the hash of all it depends on, or run under a lock and kept there.
import { rmSync } from 'node:fs'
import { Interrupted, messageOf, throwIfAborted, UserError } from '../base/errors.ts'
import { makeFolder } from '../base/files.ts'
import { loadModel } from '../onnx/load.ts'
import { stages } from '../stages/index.ts'
import type { Stage, StageContext } from '../stages/stage.ts'
import { tasks } from '../tasks/index.ts'
import { type Entry, findEntry, lockPath, putEntry, sharedFolder, workFolder } from './cache.ts'
import { epochClock } from './clock.ts'
import { workOf } from './cost.ts'
import { type StepPlace, throttled } from './events.ts'
import { dataUseOf, keyOf, type Task, type World } from './key.ts'
import { withLock } from './lock.ts'
import { type Stored, sizeOfModelFile } from './stored.ts'

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
  variants: ReadonlyMap<string, Stored> = new Map(),
): Promise<Finished> {
  const { cacheFolder, signal, listen } = world
  const place = placeOf(task)
  const log = (message: string) => listen({ event: 'log', id: task.id, message })
  try {
    throwIfAborted(signal)
    listen({ event: 'stage-start', ...place })
    const key = await keyOf(task, input, teacher, world, variants)
    const onWait = (heldBy: number) =>
      log(`waiting for process ${heldBy}, which is running the same stage`)
    const finished = await withLock(lockPath(cacheFolder, key), { signal, onWait }, async () => {
      const found = await findEntry(cacheFolder, key, log)
      if (found) return finishedFrom(task, found, true)
      return finishedFrom(task, await work(task, key, input, teacher, world, variants), false)
    })
    const { cached, seconds, facts, path } = finished
    const sizeBytes = await sizeOfModelFile(path)
    listen({ event: 'stage-done', ...place, cached, seconds, sizeBytes, summary: facts.summary })
    return finished
  } catch (thrown) {
    throw signal?.aborted ? new Interrupted() : inStep(place, thrown)
  }
}

/** Which step of its run a task is. */
export const placeOf = ({ id, options: { stage }, step, steps }: Task): StepPlace => ({
  id,
  stage,
  step,
  steps,
})

async function work(
  { id, options }: Task,
  key: string,
  input: Stored,
  teacher: Stored,
  world: World,
  variants: ReadonlyMap<string, Stored>,
): Promise<Entry> {
  const { cacheFolder, environment, signal, listen } = world
  const stage: Stage = stages[options.stage]
  const folder = workFolder(cacheFolder, key)
  makeFolder(folder)
  const clock = epochClock()
  const forward = throttled((progress) => listen({ event: 'progress', id, ...progress }))
  const data = dataUseOf(options) === 'never' ? undefined : world.data?.splits
  const context: StageContext = {
    teacher: await teacher.load(),
    variant(name) {
      const found = name === 'teacher' ? teacher : variants.get(name)
      if (!found) throw new Error(`internal: '${name}' was not made before '${id}'`)
      return found.load()
    },
    task: tasks[world.task],
    data,
    seed: world.seed,
    threads: environment.threads,
    provider: environment.provider,
    ...(world.providers && { providers: world.providers }),
    folder,
    shared: sharedFolder(cacheFolder),
    signal,
    checkpointDue: every(checkpointMs),
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
  const amount = data && (await workOf({ options }, model, context.teacher, data, world))
  const entry = await putEntry(cacheFolder, key, result, {
    stage: options.stage,
    seconds,
    work: amount ?? 0,
    epochSeconds: clock.seconds(result.facts.epochs?.length ?? 0),
  })
  rmSync(folder, { recursive: true, force: true })
  return entry
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

/** How much work a loss of power may cost at most, in milliseconds. */
const checkpointMs = 2 * 60_000

/** True whenever so many milliseconds have passed since it last was. */
function every(milliseconds: number): () => boolean {
  let last = performance.now()
  return () => {
    const now = performance.now()
    if (now - last < milliseconds) return false
    last = now
    return true
  }
}
