// Without a recipe: one stage for one file, and the benchmark for some files.
import { dirname, relative, resolve } from 'node:path'
import type { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { benchmark } from '../benchmarks/benchmark.ts'
import type { LatencyOptions } from '../benchmarks/latency.ts'
import type { Report } from '../benchmarks/report/report.ts'
import { type OpenData, openData } from '../data/open.ts'
import { dataOptions } from '../data/sources.ts'
import { type ModelSource, openSource } from '../models/source.ts'
import { saveModel } from '../onnx/save.ts'
import { type ProviderName, requireProvider } from '../runtime/providers.ts'
import { type StageName, stages } from '../stages/index.ts'
import type { Stage } from '../stages/stage.ts'
import { defaultCacheFolder, prepareCache, withScratchFolder } from './cache.ts'
import { modelsIn } from './cost.ts'
import type { Listener } from './events.ts'
import { makeWritable } from './folders.ts'
import { environmentOf } from './prepare.ts'
import { validated } from './problems.ts'
import { assembleReport } from './report.ts'
import {
  needsData,
  runStep,
  type Stored,
  sizeOfModelFile,
  storedFile,
  storedModel,
} from './step.ts'
import { checkFits } from './validate.ts'

/** The `data` section of a recipe, as it is written. */
export type DataInput = z.input<typeof dataOptions>

/** What a stage or a benchmark outside of a recipe needs. */
interface Surroundings {
  readonly data?: DataInput | undefined
  readonly seed?: number
  readonly cacheFolder?: string | undefined
  readonly dataFolder?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onEvent?: Listener | undefined
}

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
  const stage: Stage = stages[request.options.stage]
  const where = request.options.stage
  // The schema has the literal `stage`, so what it gives has it too.
  const options = validated(stage.options, request.options, where) as { stage: StageName }
  await requireProvider(provider)
  prepareCache(cacheFolder)
  const data = await dataFor(request, needsData(options), cacheFolder, where)
  const input = await openModel(request.model, data, seed, where)
  const teacher = request.teacher === undefined ? input : await storedFile(request.teacher)
  await checkModels([input, teacher], data, options, seed)
  makeWritable(dirname(resolve(request.output)))
  const finished = await runStep({ id: where, options, step: 1, steps: 1 }, input, teacher, {
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

/** Reads the data where it is needed; that a stage needs some and there is none is a `UserError`. */
async function dataFor(
  { data, seed = 0, dataFolder, onEvent }: Surroundings,
  needed: boolean,
  cacheFolder: string,
  where: string,
): Promise<OpenData | undefined> {
  if (!needed) return undefined
  if (data === undefined)
    throw new UserError(
      `${where}: it needs data: none was named — give a data set, as --data digits`,
    )
  return await openData(validated(dataOptions, data, `${where}: data`), {
    seed,
    cacheFolder,
    dataFolder,
    log: (message) => onEvent?.({ event: 'log', message }),
  })
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

async function checkModels(
  given: readonly Stored[],
  data: OpenData | undefined,
  options: object,
  seed: number,
): Promise<void> {
  if (!data) {
    for (const stored of new Set(given)) await stored.load()
    return
  }
  const { facts } = data
  for (const stored of new Set(given)) await checkFits(await stored.load(), facts, 'model')
  for (const [key, source] of modelsIn(options)) {
    const { shape, classes } = facts
    await checkFits(await openSource(source, { shape, classes: classes.length, seed }), facts, key)
  }
}

/** Files to be measured against a teacher. */
export interface BenchRequest extends Surroundings {
  readonly teacher: string
  readonly models: readonly string[]
  readonly providers?: readonly ProviderName[]
  readonly latency?: Partial<LatencyOptions>
  /** The folder that paths in the report are relative to; the working directory unless told. */
  readonly folder?: string
}

/** Measures models against a teacher on the test split, and resolves to the report. */
export async function bench(request: BenchRequest): Promise<Report> {
  const { teacher, models, seed = 0, providers = ['cpu'], latency = {}, signal, onEvent } = request
  const { cacheFolder = defaultCacheFolder(), folder = '.' } = request
  prepareCache(cacheFolder)
  const data = await dataFor(request, true, cacheFolder, 'bench')
  if (!data) throw new Error('internal: data was needed')
  const names = idsOf(models)
  const subject = (path: string, id: string, from: string | null) => ({
    id,
    stage: from === null ? 'teacher' : 'file',
    from,
    path,
    file: relative(folder, path).replaceAll('\\', '/'),
  })
  const results = await withScratchFolder(cacheFolder, (workFolder) =>
    benchmark({
      teacher: subject(teacher, 'teacher', null),
      variants: models.map((path, index) => subject(path, names[index]!, 'teacher')),
      data: data.splits.test,
      providers,
      latency,
      workFolder,
      seed,
      signal,
      onProgress: ({ done, what }) => onEvent?.({ event: 'benchmark-progress', done, what }),
      log: (message) => onEvent?.({ event: 'log', message }),
    }),
  )
  return await assembleReport({ name: 'bench', seed, data, ...results, gates: [] })
}

/** Names for files: without folder and ending, and with -2, -3 where they are the same. */
function idsOf(paths: readonly string[]): string[] {
  const taken = new Set(['teacher'])
  return paths.map((path) => {
    const base = path.replace(/^.*[\\/]/, '').replace(/\.onnx$/, '')
    let id = base
    for (let count = 2; taken.has(id); count++) id = `${base}-${count}`
    taken.add(id)
    return id
  })
}
