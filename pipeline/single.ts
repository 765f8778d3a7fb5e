// One stage for one file, without a recipe.
import { dirname, resolve } from 'node:path'
import { UserError } from '../base/errors.ts'
import { makeWritable } from '../base/files.ts'
import type { OpenData } from '../data/open.ts'
import { type ModelSource, openSource } from '../models/source.ts'
import { saveModel } from '../onnx/save.ts'
import { type ProviderName, requireProvider } from '../runtime/providers.ts'
import { type StageName, stages } from '../stages/index.ts'
import type { Stage } from '../stages/stage.ts'
import { defaultCacheFolder, prepareCache } from './cache.ts'
import { modelsIn } from './cost.ts'
import { dataUseOf, type Task } from './key.ts'
import { calibrationSamples, environmentOf } from './prepare.ts'
import { validated } from './problems.ts'
import { runStep } from './step.ts'
import { type Stored, sizeOfModelFile, storedFile, storedModel } from './stored.ts'
import { openNamedData, type Surroundings } from './surroundings.ts'
import { checkFits } from './validate.ts'

/** One stage for one model. */
export interface StageRequest extends Surroundings {
  /** The stage with its options, as a recipe has them. */
  readonly options: { readonly stage: StageName; readonly [option: string]: unknown }
  /** The model that it works on: a file, or an architecture to start from. */
  readonly model: ModelSource
  /** Path of the result. */
  readonly output: string
  /** Path of the teacher; the model itself unless told. */
  readonly teacher?: string | undefined
  readonly provider?: ProviderName
  readonly threads?: number | undefined
}

/** What came out of a stage. */
export interface StageResult {
  readonly path: string
  readonly sizeBytes: number
  /** One line for people: what the stage did. */
  readonly summary: string | undefined
  /** True when an earlier run had done it. */
  readonly cached: boolean
}

/**
 * Runs one stage on a model and writes the result.
 *
 * Options are validated as in a recipe; whatever the user can mend is a `UserError`.
 *
 * @example
 * await runStage({
 *   options: { stage: 'quantize', scheme: 'static' },
 *   model: { file: 'model.onnx' }, output: 'small.onnx', data: { source: 'digits' },
 * })
 */
export async function runStage(request: StageRequest): Promise<StageResult> {
  const { seed = 0, provider = 'cpu', threads, signal, onEvent } = request
  const { cacheFolder = defaultCacheFolder() } = request
  const { stage: name } = request.options
  const stage: Stage = stages[name]
  // The schema has the literal `stage`, so what it gives has it too.
  const options = validated(stage.options, request.options, name) as Task['options']
  await requireProvider(provider)
  prepareCache(cacheFolder)
  const { data, input, teacher } = await openInputs(request, options, cacheFolder)
  makeWritable(dirname(resolve(request.output)))
  const finished = await runStep({ id: name, options, step: 1, steps: 1 }, input, teacher, {
    environment: await environmentOf(provider, threads),
    seed,
    data,
    cacheFolder,
    signal,
    listen: onEvent ?? (() => undefined),
  })
  await saveModel(await finished.load(), request.output)
  return {
    path: request.output,
    sizeBytes: await sizeOfModelFile(request.output),
    summary: finished.facts.summary,
    cached: finished.cached,
  }
}

/** Opens the data where the stage reads it, and the models, and checks that they fit each other. */
async function openInputs(request: StageRequest, options: Task['options'], cacheFolder: string) {
  const { seed = 0, model, teacher: teacherPath } = request
  const { stage: where } = options
  const use = dataUseOf(options)
  const reads = use === 'always' || (use === 'where given' && request.data !== undefined)
  const data = reads
    ? await openNamedData(request, cacheFolder, where, calibrationSamples([options]))
    : undefined
  if (request.data !== undefined && !data)
    request.onEvent?.({ event: 'log', message: `${where}: reads no data with these options` })
  const input = await openModel(model, data, seed, where)
  const teacher = teacherPath === undefined ? input : await storedFile(teacherPath)
  if (data) {
    await checkFits(await input.load(), data.facts, 'file' in model ? model.file : 'model')
    if (teacherPath !== undefined) await checkFits(await teacher.load(), data.facts, teacherPath)
    await checkNamed(options, data, seed)
  }
  return { data, input, teacher }
}

async function openModel(
  source: ModelSource,
  data: OpenData | undefined,
  seed: number,
  where: string,
): Promise<Stored> {
  if ('file' in source) return await storedFile(source.file)
  if (!data)
    throw new UserError(
      `${where}: an architecture takes its shape from data: '${source.architecture}' — give a data set, or a file`,
    )
  const { shape, classes } = data.facts
  return storedModel(await openSource(source, { shape, classes: classes.length, seed }))
}

/** Checks the models that the options name, as the student of distillation. */
async function checkNamed(options: object, { facts }: OpenData, seed: number): Promise<void> {
  const { shape, classes } = facts
  for (const [key, source] of modelsIn(options)) {
    const model = await openSource(source, { shape, classes: classes.length, seed })
    await checkFits(model, facts, 'file' in source ? source.file : key)
  }
}
