// What `run` and `plan` do first: read the recipe, check all of it, read the data, open the cache.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { explainFileError } from '../base/files.ts'
import { describeHost } from '../benchmarks/host.ts'
import { defaultCalibration, type OpenData, openData } from '../data/open.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { loweringFor } from '../train/lowerings/choose.ts'
import { defaultCacheFolder, prepareCache } from './cache.ts'
import type { Listener } from './events.ts'
import type { Environment, Task, World } from './key.ts'
import { checkRecipe, type LoadedRecipe, parseRecipe } from './read-recipe.ts'
import type { RecipeInput } from './recipe.ts'
import { type Stored, storedFile, storedModel } from './stored.ts'
import { type Checked, checkEverything } from './validate.ts'
import { codeVersion } from './version.ts'

/** How a recipe is run. */
export interface RunOptions {
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
  readonly signal?: AbortSignal | undefined
  /** Told what happens, as it happens. */
  readonly onEvent?: Listener | undefined
}

/** A recipe that was found in order, with what its steps work on. */
export interface Prepared {
  readonly loaded: LoadedRecipe
  readonly checked: Checked
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
  overrides: readonly string[] = [],
): LoadedRecipe {
  if (typeof recipe !== 'string') return checkRecipe(recipe, { overrides })
  let text: string
  try {
    text = readFileSync(recipe, 'utf8')
  } catch (thrown) {
    throw explainFileError(recipe, thrown)
  }
  return parseRecipe(text, recipe, overrides)
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
  const { recipe } = loaded
  const listen = onEvent ?? (() => undefined)
  const folders = { cacheFolder, dataFolder }
  const checked = await checkEverything(loaded, folders)
  prepareCache(cacheFolder)
  const data = await openData(recipe.data, {
    seed: recipe.seed,
    ...folders,
    calibration: calibrationSamples(recipe.stages),
    log: (message) => listen({ event: 'log', message }),
  })
  const { model, train } = recipe.teacher
  const steps = recipe.stages.length
  return {
    loaded,
    checked,
    world: {
      environment: await environmentOf(recipe.provider, threads),
      seed: recipe.seed,
      data,
      cacheFolder,
      signal,
      listen,
    },
    origin: 'file' in model ? await storedFile(model.file) : storedModel(checked.teacher),
    teacherTask: train && {
      id: 'teacher',
      options: { stage: 'train', ...train },
      step: 0,
      steps,
    },
    tasks: recipe.stages.map(({ id, from, ...options }, index) => ({
      id,
      from,
      options,
      step: index + 1,
      steps,
    })),
  }
}

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
