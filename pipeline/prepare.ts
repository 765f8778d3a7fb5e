// What `run` and `plan` do first: read the recipe, check all of it, read the data, open the cache.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { explainFileError } from '../base/files.ts'
import { describeHost } from '../benchmarks/host.ts'
import type { Report } from '../benchmarks/report/report.ts'
import type { Rivals } from '../benchmarks/rivals.ts'
import { defaultCalibration, type OpenData, openData } from '../data/open.ts'
import type { FetchContext } from '../models/fetch-context.ts'
import type { Model } from '../onnx/graph.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { tasks } from '../tasks/index.ts'
import { loweringFor } from '../train/lowerings/choose.ts'
import { defaultCacheFolder, prepareCache } from './cache.ts'
import type { Listener } from './events.ts'
import type { Environment, Task, World } from './key.ts'
import { classesStatedBy, hubConfigIn, localModel, withLocalModels } from './local-models.ts'
import { checkRecipe, type LoadedRecipe, parseRecipe } from './read-recipe.ts'
import type { Recipe, RecipeInput, Step } from './recipe.ts'
import { dataSetting } from './setting.ts'
import { type Stored, storedFile, storedModel } from './stored.ts'
import { checkData, checkModels, checkWithoutData } from './validate.ts'
import { codeVersion } from './version.ts'

/** How a recipe is run. */
export interface RunOptions {
  /** The profile of the recipe that is chosen, as `quick`; none unless told. */
  readonly profile?: string | undefined
  /** Overrides as `--set` has them, applied before validation: `['seed=3', 'stages.0.epochs=1']`. */
  readonly set?: readonly string[]
  /** The run's folder; `runs/<name>` below the working directory unless told. */
  readonly outFolder?: string | undefined
  /** Threads of ONNX Runtime in training and teacher inference; as many as the machine has unless told. */
  readonly threads?: number | undefined
  /** `$CONDENSE_CACHE` or the user's cache folder unless told. */
  readonly cacheFolder?: string | undefined
  /** Where data sets are; `$CONDENSE_DATA` unless told. */
  readonly dataFolder?: string | undefined
  /** Variants that are compared with others too, by a test on the same samples: their ids by its own. */
  readonly rivals?: Rivals | undefined
  readonly signal?: AbortSignal | undefined
  /** Told what happens, as it happens. */
  readonly onEvent?: Listener | undefined
  /**
   * Told between two measurements of the benchmark what the report knows by then, gates left out. The benchmark goes on when
   * what it returns is settled.
   */
  readonly onPartial?: ((report: Report) => void | Promise<void>) | undefined
}

/** A recipe that was found in order, with what its steps work on. */
export interface Prepared {
  readonly loaded: LoadedRecipe
  /** The teacher, untrained where it is an architecture. */
  readonly teacher: Model
  readonly world: World & { readonly data: OpenData }
  /** The teacher as it is before any training of its own. */
  readonly origin: Stored
  /** The training of the teacher, where the recipe asks for one. */
  readonly teacherTask: Task | undefined
  readonly tasks: readonly (Task & { readonly from: string })[]
}

/** Reads a recipe from its path, or takes it as it is; see `parseRecipe`. */
export function loadRecipe(
  recipe: RecipeInput | string,
  { set = [], profile, dataFolder }: Pick<RunOptions, 'set' | 'profile' | 'dataFolder'> = {},
): LoadedRecipe {
  const options = { overrides: set, profile, dataFolder }
  if (typeof recipe !== 'string') return checkRecipe(recipe, options)
  let text: string
  try {
    text = readFileSync(recipe, 'utf8')
  } catch (thrown) {
    throw explainFileError(recipe, thrown)
  }
  return parseRecipe(text, recipe, options)
}

/** The environment of stages that run here. */
export async function environmentOf(
  provider: ProviderName,
  threads: number | undefined,
): Promise<Environment> {
  const { cpu, flags, onnxruntime } = await describeHost()
  return {
    code: codeVersion(),
    runtime: onnxruntime,
    provider,
    threads: threads ?? availableParallelism(),
    lowering: (await loweringFor(provider)).name,
    machine: [process.platform, process.arch, cpu, ...flags].join(' '),
  }
}

/** Checks a recipe and opens all that its steps need; nothing is written but the folders of the cache. */
export async function prepare(
  loaded: LoadedRecipe,
  { threads, cacheFolder = defaultCacheFolder(), dataFolder, signal, onEvent }: RunOptions,
): Promise<Prepared> {
  const listen = onEvent ?? (() => undefined)
  const log = (message: string) => listen({ event: 'log', message })
  prepareCache(cacheFolder)
  const fetching = { cacheFolder, signal, log }
  const { recipe: local, folder } = await localRecipe(loaded.recipe, fetching)
  const here = { ...loaded, recipe: local }
  await checkWithoutData(here)
  const { task } = local
  const hub = await hubConfigIn(folder)
  for (const note of hub?.notes ?? []) log(note)
  const data = await openData(local.data, {
    seed: local.seed,
    ...{ cacheFolder, dataFolder, log, signal, version: codeVersion() },
    ...dataSetting(local, hub, folder, await classesStatedBy(local.teacher.model)),
    calibration: calibrationSamples(local.stages),
    progress: preparing(listen),
  })
  checkData(here, data.splits, tasks[task])
  const teacher = await checkModels(here, data.splits.train, tasks[task])
  const { model, train } = local.teacher
  const steps = local.stages.length
  return {
    loaded: here,
    teacher,
    world: {
      environment: await environmentOf(local.provider, threads),
      seed: local.seed,
      task,
      providers: local.benchmark.providers,
      data,
      cacheFolder,
      signal,
      listen,
    },
    origin: 'file' in model ? await storedFile(model.file) : storedModel(teacher),
    teacherTask: train && {
      id: 'teacher',
      options: { stage: 'train', ...train },
      step: 0,
      steps,
    },
    tasks: local.stages.map(({ id, from, ...options }, index) => ({
      id,
      from,
      options,
      step: index + 1,
      steps,
    })),
  }
}

/** The same recipe with every model as an ONNX file on this machine, and the folder of the teacher's. */
async function localRecipe(recipe: Recipe, fetching: FetchContext) {
  const { source, folder } = await localModel(recipe.teacher.model, fetching)
  const stages: Step[] = []
  for (const step of recipe.stages) stages.push(await withLocalModels(step, fetching))
  return { recipe: { ...recipe, stages, teacher: { ...recipe.teacher, model: source } }, folder }
}

/** Tells of long preparations now and then. */
function preparing(listen: Listener): (what: string, samples: number) => void {
  let done = 0
  let last = performance.now()
  return (what, samples) => {
    done += samples
    const now = performance.now()
    if (now - last < quietMs) return
    last = now
    listen({ event: 'log', message: `preparing data (${what}): ${done} samples so far` })
  }
}

const quietMs = 5000

/** How many calibration samples these stages need; each takes the first ones that it asks for. */
export function calibrationSamples(steps: readonly object[]): number {
  // Stages that calibrate, or take gradients, say how many under these keys; no other option is called so.
  type Asking = { readonly calibration?: { readonly samples: number }; readonly samples?: number }
  const asked = (steps as readonly Asking[]).flatMap(({ calibration, samples }) => [
    calibration?.samples ?? 0,
    samples ?? 0,
  ])
  return Math.max(defaultCalibration, ...asked)
}
