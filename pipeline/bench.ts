// The benchmark for some files, without a recipe.
import { relative } from 'node:path'
import { benchmark, type Measured } from '../benchmarks/benchmark.ts'
import type { LatencyOptions } from '../benchmarks/latency.ts'
import { randomDataset } from '../benchmarks/random-data.ts'
import type { Report } from '../benchmarks/report/report.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { explainRandom, type RandomOptions, randomFeeds } from '../runtime/random-feeds.ts'
import { withSession } from '../runtime/session.ts'
import { defaultCacheFolder, prepareCache, withScratchFolder } from './cache.ts'
import { classesStatedBy, localModel } from './local-models.ts'
import { type MadeUpRequest, madeUpInputs } from './made-up.ts'
import { modelName } from './model-name.ts'
import type { RunOptions } from './prepare.ts'
import { assembleReport } from './report.ts'
import { defaultSamples, samplesOf } from './samples.ts'
import { openNamedData, type Surroundings } from './surroundings.ts'

/** Models to be measured against a teacher; each is a path, a folder of the Hub or an address, as in a recipe. */
export interface BenchRequest extends Surroundings, MadeUpRequest {
  readonly teacher: string
  readonly models: readonly string[]
  /** What the report is called; after the teacher's file unless told. */
  readonly name?: string
  /** What the models are called, in their order; after their files unless told. */
  readonly names?: readonly string[]
  readonly providers?: readonly ProviderName[]
  readonly latency?: Partial<LatencyOptions>
  /** False leaves out what is left of the teacher's knowledge, which takes most of the time. */
  readonly knowledge?: false
  /** How many samples that were forgotten the report shows at most; false for none. */
  readonly samples?: number | false
  /** The folder that paths in the report are relative to; the working directory unless told. */
  readonly folder?: string
  /** As that of a run. */
  readonly onPartial?: RunOptions['onPartial']
}

/**
 * Measures models against a teacher on the test split, and resolves to the report.
 *
 * Without data the inputs are made up: size and speed are measured, and nothing is said of how good the models are.
 */
export async function bench(request: BenchRequest): Promise<Report> {
  const { teacher, models, seed = 0, providers = ['cpu'], latency = {}, signal, onEvent } = request
  const { cacheFolder = defaultCacheFolder(), folder = '.', onPartial } = request
  const known = madeUpInputs(request, 'condense bench')
  prepareCache(cacheFolder)
  const log = (message: string) => onEvent?.({ event: 'log', message })
  const here = (file: string) => localModel({ file }, { cacheFolder, signal, log })
  const reference = await here(teacher)
  const others: string[] = []
  for (const model of models) others.push((await here(model)).source.file)
  const random = known !== undefined
  const { data, task } = random
    ? await madeUpData(reference.source.file, { ...known, seed, where: teacher })
    : await openNamedData(request, cacheFolder, 'bench', {
        folder: reference.folder,
        classes: await classesStatedBy(reference.source),
      })
  // Outputs for noise say nothing, and a model alone has nothing to keep.
  const knowledge = request.knowledge !== false && !random && models.length > 0
  const names = request.names ?? idsOf(models)
  const subject = (path: string, id: string, from: string | null) => ({
    id,
    stage: from === null ? 'teacher' : 'file',
    from,
    path,
    file: relative(folder, path).replaceAll('\\', '/'),
  })
  const reportOf = (measured: Measured) =>
    assembleReport({
      name: request.name ?? modelName(teacher),
      seed,
      task,
      data,
      random,
      ...measured,
      gates: [],
    })
  const results = await withScratchFolder(cacheFolder, (workFolder) =>
    benchmark({
      teacher: subject(reference.source.file, 'teacher', null),
      variants: others.map((path, index) => subject(path, names[index]!, 'teacher')),
      data: data.splits.test,
      task,
      providers,
      latency,
      ...(!knowledge && { knowledge: false }),
      judged: !random,
      layers: request.knowledge !== false,
      ...('show' in data && samplesOf(request.samples ?? defaultSamples, data)),
      workFolder,
      seed,
      signal,
      onProgress: ({ done, what }) => onEvent?.({ event: 'benchmark-progress', done, what }),
      onKnown: onPartial && (async (measured) => onPartial(await reportOf(measured))),
      log,
    }),
  )
  return await reportOf(results)
}

/** Random samples for a model of which no data was named. */
async function madeUpData(path: string, options: RandomOptions) {
  const { where } = options
  const test = await withSession(path, { where }, async (session) => {
    const { inputs } = session
    const made = randomDataset(inputs, options)
    // What they do not fit fails here, and not in every process that measures.
    await session.run(randomFeeds(inputs, options)).catch(explainRandom)
    return made
  })
  const none = { ...test, size: 0 }
  return {
    task: 'match' as const,
    data: {
      splits: { train: none, validation: none, calibration: none, test },
      facts: { source: test.source, classes: test.classes },
      fingerprint: test.fingerprint,
    },
  }
}

/** Names for files, with -2, -3 where they are the same. */
function idsOf(paths: readonly string[]): string[] {
  const taken = new Set(['teacher'])
  return paths.map((path) => {
    const base = modelName(path)
    let id = base
    for (let count = 2; taken.has(id); count++) id = `${base}-${count}`
    taken.add(id)
    return id
  })
}
