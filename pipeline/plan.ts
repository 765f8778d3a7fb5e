// What a run would do: which steps, which of them are in the cache, how long the rest takes and how much disk.
import { existsSync } from 'node:fs'
import { openSource } from '../models/source.ts'
import type { Model } from '../onnx/graph.ts'
import { shapeFor } from '../stages/building.ts'
import { tasks } from '../tasks/index.ts'
import { findEntry, listEntries } from './cache.ts'
import { assumedThroughput, estimate, modelsIn, workOf } from './cost.ts'
import { keyOf, type Task, variantsOf } from './key.ts'
import { chooseFolder } from './output.ts'
import { loadRecipe, type Prepared, prepare, type RunOptions } from './prepare.ts'
import { type RecipeInput, teacherId } from './recipe.ts'
import { type Stored, sizeOfModelFile, storedFile, storedModel } from './stored.ts'

/** One step as it is planned. */
export interface PlannedStep {
  readonly id: string
  readonly stage: string
  readonly from: string
  readonly cached: boolean
  /** Expected time, s; 0 where it is cached. */
  readonly seconds: number
  /** Whether the time rests on what earlier runs took here. */
  readonly measured: boolean
  /** Expected size of its model at most, bytes. */
  readonly sizeBytes: number
}

/** What a run would do. */
export interface Plan {
  /** Where the run would go. */
  readonly folder: string
  readonly steps: readonly PlannedStep[]
  /** Expected time of the steps and the benchmark, s. */
  readonly seconds: number
  /** Bytes that the run and the cache would grow by, at most. */
  readonly diskBytes: number
  /** What the times rest on. */
  readonly basis: string
}

/** What a variant costs to be measured on a provider, s: the default of the latency benchmark and the test split. */
const benchmarkSeconds = 4

/** A model that a step would start from: known where all before it is in the cache. */
interface Known {
  readonly stored: Stored | undefined
  /** What its costs are taken from: itself, or the nearest model before it. */
  readonly like: Stored
  readonly sizeBytes: number
}

/** Plans a run: checks everything that a run checks, and runs nothing. */
export async function planRun(
  recipe: RecipeInput | string,
  options: RunOptions = {},
): Promise<Plan> {
  const loaded = loadRecipe(recipe, options)
  const prepared = await prepare(loaded, options)
  const { origin, teacherTask, tasks, world } = prepared
  const steps: PlannedStep[] = []
  const known = new Map<string, Known>()
  const start = { stored: origin, like: origin, sizeBytes: await sizeOf(origin) }
  let teacher: Known = start
  if (teacherTask) {
    const planned = await planStep({ ...teacherTask, from: '' }, start, start, prepared)
    steps.push(planned.step)
    teacher = planned.result
  }
  known.set(teacherId, teacher)
  for (const task of tasks) {
    const input = known.get(task.from)
    if (!input) throw new Error(`internal: '${task.id}' comes before '${task.from}'`)
    const planned = await planStep(task, input, teacher, prepared, known)
    steps.push(planned.step)
    known.set(task.id, planned.result)
  }
  const variants = tasks.length + 1
  const providers = loaded.recipe.benchmark.providers.length
  const guessed = steps.some(({ cached, measured }) => !cached && !measured)
  const assumption = `${assumedThroughput / 1e9} GMAC/s a thread, assumed`
  return {
    folder: chooseFolder(loaded.recipe, options.outFolder),
    steps,
    seconds: sum(steps.map((step) => step.seconds)) + variants * providers * benchmarkSeconds,
    // A variant lies in the cache and in the run's folder.
    diskBytes: sum(steps.map((step) => step.sizeBytes * (step.cached ? 1 : 2))),
    basis: guessed
      ? `${assumption}, with ${world.environment.threads} threads`
      : 'what such stages took here before',
  }
}

async function planStep(
  task: Task & { readonly from: string },
  input: Known,
  teacher: Known,
  { world }: Prepared,
  known: ReadonlyMap<string, Known> = new Map(),
): Promise<{ readonly step: PlannedStep; readonly result: Known }> {
  const { cacheFolder, environment, data } = world
  const place = { id: task.id, stage: task.options.stage, from: task.from }
  const others = variantsOf(task.options).map((id) => [id, known.get(id)?.stored] as const)
  const made = new Map(others.flatMap(([id, stored]) => (stored ? [[id, stored] as const] : [])))
  const found =
    input.stored && teacher.stored && made.size === others.length
      ? await findEntry(cacheFolder, await keyOf(task, input.stored, teacher.stored, world, made))
      : undefined
  if (found) {
    const stored = await storedFile(found.modelPath)
    const sizeBytes = await sizeOfModelFile(found.modelPath)
    return {
      step: { ...place, cached: true, seconds: 0, measured: true, sizeBytes },
      result: {
        stored: { ...stored, hash: found.hash, facts: found.facts },
        like: stored,
        sizeBytes,
      },
    }
  }
  const reference = await teacher.like.load()
  const work = await workOf(task, await input.like.load(), reference, data.splits, world)
  const finished = existsSync(cacheFolder) ? listEntries(cacheFolder) : []
  const expected = estimate(place.stage, work ?? 0, environment.threads, finished)
  const like = (await namedModel(task.options, reference, world)) ?? input.like
  const sizeBytes = like === input.like ? input.sizeBytes : await sizeOf(like)
  return {
    step: { ...place, cached: false, ...expected, sizeBytes },
    result: { stored: undefined, like, sizeBytes },
  }
}

/** The model that a stage works on instead of its input, as the student of distillation. */
async function namedModel(
  options: object,
  teacher: Model,
  { data, seed, task }: Prepared['world'],
): Promise<Stored | undefined> {
  const source = modelsIn(options)[0]?.[1]
  const shape = shapeFor(data.splits.train, tasks[task], teacher)
  return source && storedModel(await openSource(source, { ...shape, seed, teacher }))
}

/** Bytes that a model takes in memory are near enough to those that it takes on disk. */
async function sizeOf(stored: Stored): Promise<number> {
  const { graph } = await stored.load()
  return sum([...graph.initializers].map(({ tensor }) => tensor?.byteLength ?? 0))
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
