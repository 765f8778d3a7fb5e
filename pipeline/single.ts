// One stage for one file, without a recipe.
import { dirname, resolve } from 'node:path'
import { UserError } from '../base/errors.ts'
import { makeWritable } from '../base/files.ts'
import type { FetchContext } from '../models/fetch-context.ts'
import { type ModelSource, openSource } from '../models/source.ts'
import type { Model } from '../onnx/graph.ts'
import { saveModel } from '../onnx/save.ts'
import { type ProviderName, requireProvider } from '../runtime/providers.ts'
import { shapeFor } from '../stages/building.ts'
import { type StageName, stages } from '../stages/index.ts'
import type { Stage } from '../stages/stage.ts'
import { tasks } from '../tasks/index.ts'
import { defaultCacheFolder, prepareCache } from './cache.ts'
import { modelsIn } from './cost.ts'
import { dataUseOf, type Task, variantsOf } from './key.ts'
import { classesStatedBy, localModel, withLocalModels } from './local-models.ts'
import { calibrationSamples, environmentOf } from './prepare.ts'
import { validated } from './problems.ts'
import { runStep } from './step.ts'
import { type Stored, sizeOfModelFile, storedFile, storedModel } from './stored.ts'
import { type NamedData, openNamedData, type Surroundings } from './surroundings.ts'
import { checkFits, isFurtherTeacher } from './validate.ts'

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
  const asked = validated(stage.options, request.options, name) as Task['options']
  await requireProvider(provider)
  prepareCache(cacheFolder)
  const log = (message: string) => onEvent?.({ event: 'log', message })
  const fetching = { cacheFolder, signal, log }
  const options = await withLocalModels(asked, fetching)
  const variant = variantsOf(options).find((id) => id !== 'teacher')
  if (variant !== undefined)
    throw new UserError(
      `${name}: there are no other variants outside of a recipe: '${variant}' — name a file`,
    )
  const { data, task, input, teacher } = await openInputs(request, options, fetching)
  makeWritable(dirname(resolve(request.output)))
  const finished = await runStep({ id: name, options, step: 1, steps: 1 }, input, teacher, {
    environment: await environmentOf(provider, threads),
    seed,
    task,
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
async function openInputs(
  request: StageRequest,
  options: Task['options'],
  fetching: FetchContext & { readonly log: (message: string) => void },
) {
  const { seed = 0 } = request
  const { stage: where } = options
  const { cacheFolder, log } = fetching
  const { source, folder } = await localModel(request.model, fetching)
  const use = dataUseOf(options)
  const reads = use === 'always' || (use === 'where given' && request.data !== undefined)
  const calibration = calibrationSamples([options])
  const named = reads
    ? await openNamedData(request, cacheFolder, where, {
        ...{ folder, calibration },
        classes: await classesStatedBy(source),
      })
    : undefined
  if (request.data !== undefined && !named) log(`${where}: reads no data with these options`)
  const input = await openModel(source, named, seed, where)
  const teacher =
    request.teacher === undefined
      ? input
      : await storedFile((await localModel({ file: request.teacher }, fetching)).source.file)
  const { data, task = request.task ?? 'classification' } = named ?? {}
  if (data) {
    const { train } = data.splits
    const stage: Stage = stages[where]
    stage.check?.(options, data.splits)
    const check = async (model: Model, name: string) => checkFits(model, train, tasks[task], name)
    await check(await input.load(), 'file' in source ? source.file : 'model')
    const reference = await teacher.load()
    if (request.teacher !== undefined) await check(reference, request.teacher)
    // The models that the options name, as the student of distillation.
    for (const [key, other] of modelsIn(options)) {
      if (isFurtherTeacher(key)) continue
      const shape = shapeFor(train, tasks[task], reference)
      const model = await openSource(other, { ...shape, seed, teacher: reference })
      await check(model, 'file' in other ? other.file : key)
    }
  }
  return { data, task, input, teacher }
}

async function openModel(
  source: ModelSource,
  named: NamedData | undefined,
  seed: number,
  where: string,
): Promise<Stored> {
  if ('file' in source) return await storedFile(source.file)
  if (!named)
    throw new UserError(
      `${where}: an architecture takes its shape from data: '${source.architecture}' — give a data set, or a file`,
    )
  const shape = shapeFor(named.data.splits.train, tasks[named.task])
  return storedModel(await openSource(source, { ...shape, seed }))
}
