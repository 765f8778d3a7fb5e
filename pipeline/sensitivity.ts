// What a model loses where, outside of a run: for a model with data, or for the teacher of a recipe.
import { basename } from 'node:path'
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { describeHost } from '../benchmarks/host.ts'
import type { QuantizationSensitivityReport } from '../benchmarks/report/quantization-sensitivity.ts'
import type { SensitivityReport } from '../benchmarks/report/sensitivity.ts'
import type { OpenData } from '../data/open.ts'
import type { Model } from '../onnx/graph.ts'
import { loadModel } from '../onnx/load.ts'
import { type ProviderName, requireProvider } from '../runtime/providers.ts'
import { amountShape } from '../stages/prune/amount.ts'
import { analyseSensitivity } from '../stages/prune/analysis.ts'
import { criterionFor } from '../stages/prune/criteria.ts'
import { familyOf } from '../stages/prune/mask-structures.ts'
import { type PruneOptions, pruneOptions } from '../stages/prune/options.ts'
import { structureOf } from '../stages/prune/structure.ts'
import { analyseQuantization } from '../stages/quantize/index.ts'
import { type QuantizeOptions, quantizeOptions } from '../stages/quantize/options.ts'
import type { StageContext } from '../stages/stage.ts'
import { type TaskName, tasks } from '../tasks/index.ts'
import { defaultCacheFolder, prepareCache, sharedFolder, withScratchFolder } from './cache.ts'
import { throttled } from './events.ts'
import { classesStatedBy, localModel } from './local-models.ts'
import { calibrationSamples, environmentOf, loadRecipe, prepare } from './prepare.ts'
import { validated } from './problems.ts'
import { runStep } from './step.ts'
import { openNamedData, type Surroundings } from './surroundings.ts'
import { checkFits } from './validate.ts'

/** What is asked of any analysis. */
interface AnalysisRequest extends Surroundings {
  /** A model's file, or a recipe (`.yaml`, `.yml`), whose teacher is looked at with the recipe's data. */
  readonly path: string
  readonly provider?: ProviderName | undefined
  readonly threads?: number | undefined
}

/** What is asked of pruning. */
export interface SensitivityRequest extends AnalysisRequest {
  /** Options of pruning as a recipe has them: structure, criterion, keep, layers, …; no target. */
  readonly options: Readonly<Record<string, unknown>>
  /** Shares of each layer that are measured; eighths unless told. */
  readonly shares?: readonly number[] | undefined
}

/** What is asked of quantization. */
export interface QuantizationSensitivityRequest extends AnalysisRequest {
  /** Options of quantization as a recipe has them: scheme, weightBits, exclude, … */
  readonly options: Readonly<Record<string, unknown>>
}

/** A model with all that its answers are judged by. */
interface Subject {
  readonly name: string
  readonly model: Model
  readonly data: OpenData
  readonly task: TaskName
  readonly seed: number
  readonly provider: ProviderName
}

/**
 * Measures what a model loses when one layer alone is pruned, without training.
 *
 * Measurements are kept in the cache one by one; only what is not there is measured. Whatever the user can mend is a
 * `UserError`.
 */
export async function sensitivityOf(request: SensitivityRequest): Promise<SensitivityReport> {
  const options = settled(request.options)
  const { shares } = validated(
    z.strictObject({ shares: amountShape.shares }),
    { shares: request.shares },
    'sensitivity',
  )
  const { subject, found, host } = await analysed(request, options, (model, context) =>
    analyseSensitivity(model, options, context, shares),
  )
  return {
    name: subject.name,
    structure: options.structure,
    criterion: criterionFor(options, familyOf(options)),
    createdAt: new Date().toISOString(),
    host,
    source: subject.data.facts.source,
    ...found,
  }
}

/**
 * Measures what a model loses when one layer alone is quantized, and when all but it are.
 *
 * Measurements are kept in the cache as those of pruning are. Whatever the user can mend is a `UserError`.
 */
export async function quantizationSensitivityOf(
  request: QuantizationSensitivityRequest,
): Promise<QuantizationSensitivityReport> {
  const given = { stage: 'quantize', ...request.options }
  const options: QuantizeOptions = validated(quantizeOptions, given, 'sensitivity')
  const { subject, found, host } = await analysed(request, options, (model, context) =>
    analyseQuantization(model, options, context),
  )
  return {
    name: subject.name,
    scheme: options.scheme,
    createdAt: new Date().toISOString(),
    host,
    source: subject.data.facts.source,
    provider: subject.provider,
    ...found,
  }
}

/** Opens what is to be looked at, and lets it be analysed. */
async function analysed<Found>(
  request: AnalysisRequest,
  options: PruneOptions | QuantizeOptions,
  analyse: (model: Model, context: StageContext) => Promise<Found>,
) {
  const { threads, signal, onEvent, cacheFolder = defaultCacheFolder() } = request
  prepareCache(cacheFolder)
  const subject = isRecipe(request.path)
    ? await teacherOf({ ...request, cacheFolder })
    : await modelOf({ ...request, cacheFolder }, options)
  const { model, data, task, seed, provider } = subject
  const environment = await environmentOf(provider, threads)
  const id = 'sensitivity'
  const progress = throttled((found) => onEvent?.({ event: 'progress', id, ...found }))
  const found = await withScratchFolder(cacheFolder, (folder) =>
    analyse(model, {
      teacher: model,
      variant: async () => model,
      task: tasks[task],
      data: data.splits,
      seed,
      threads: environment.threads,
      provider,
      folder,
      shared: sharedFolder(cacheFolder),
      signal,
      checkpointDue: () => false,
      log: (message) => onEvent?.({ event: 'log', message }),
      progress,
    }),
  )
  const { onnxruntime, node } = await describeHost()
  return { subject, found, host: { onnxruntime, node } }
}

const isRecipe = (path: string): boolean => /\.ya?ml$/i.test(path)

/** Options of pruning whose target does not matter. */
function settled(options: SensitivityRequest['options']): PruneOptions {
  const { structure = 'channels' } = options
  // Patterns say by themselves how much goes.
  const isPattern = typeof structure === 'string' && structureOf(structure).kind === 'n:m'
  if (isPattern)
    throw new UserError(
      `sensitivity: structure '${structure}' has one share alone — use weights, or a structure that cuts channels out`,
    )
  return validated(
    pruneOptions,
    { stage: 'prune', structure, target: { sparsity: 0.5 }, ...options },
    'sensitivity',
  )
}

/** The teacher of a recipe, trained first where the recipe says so, with the recipe's data. */
async function teacherOf(request: AnalysisRequest): Promise<Subject> {
  const { path, data, cacheFolder, dataFolder, threads, signal, onEvent } = request
  if (data !== undefined)
    throw new UserError(
      `sensitivity: --data: a recipe has data of its own: '${path}' — leave it out`,
    )
  const loaded = loadRecipe(path, { dataFolder })
  const prepared = await prepare(loaded, { cacheFolder, dataFolder, threads, signal, onEvent })
  const { world, origin, teacherTask } = prepared
  const model = teacherTask
    ? await (await runStep(teacherTask, origin, origin, world)).load()
    : prepared.teacher
  const { seed, provider, name } = prepared.loaded.recipe
  return { name, model, data: world.data, task: world.task, seed, provider }
}

async function modelOf(
  request: AnalysisRequest,
  options: PruneOptions | QuantizeOptions,
): Promise<Subject> {
  const { path, seed = 0, provider = 'cpu', signal, onEvent, cacheFolder = '' } = request
  await requireProvider(provider)
  const log = (message: string) => onEvent?.({ event: 'log', message })
  const { source, folder } = await localModel({ file: path }, { cacheFolder, signal, log })
  const model = await loadModel(source.file)
  const { data, task } = await openNamedData(request, cacheFolder, 'sensitivity', {
    folder,
    calibration: calibrationSamples([options]),
    ...{ classes: await classesStatedBy(source) },
  })
  await checkFits(model, data.splits.train, tasks[task], path)
  return { name: basename(path), model, data, task, seed, provider }
}
