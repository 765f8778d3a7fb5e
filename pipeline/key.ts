// The cache key of a step: a hash of everything that its result depends on.
import { extname } from 'node:path'
import { explainFileError } from '../base/files.ts'
import { hashOf, sha256OfFile } from '../base/hash.ts'
import type { OpenData } from '../data/open.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { type StageName, stages } from '../stages/index.ts'
import type { DataUse, Stage } from '../stages/stage.ts'
import type { TaskName } from '../tasks/index.ts'
import type { Listener } from './events.ts'
import { mapPaths } from './paths.ts'
import { hashOfModelFile, type Stored } from './stored.ts'

/** What the result of a stage depends on besides its input, options and data. */
export interface Environment {
  readonly code: string
  readonly runtime: string
  readonly provider: ProviderName
  readonly threads: number
  /** How gradients are expressed in operators. */
  readonly lowering: string
  /** System and processor: others round differently, and have other kernels for 8 bits. */
  readonly machine: string
}

/** What all steps of a run have in common. */
export interface World {
  readonly environment: Environment
  readonly seed: number
  readonly task: TaskName
  readonly data: OpenData | undefined
  /** Where results are going to run besides the provider that makes them; none unless told. */
  readonly providers?: readonly ProviderName[] | undefined
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

/** Whether a stage reads data with these options. */
export function dataUseOf(options: Task['options']): DataUse {
  const stage: Stage = stages[options.stage]
  return stage.dataUse(options)
}

/** The earlier variants that a stage reads with these options besides its input. */
export function variantsOf(options: Task['options']): readonly string[] {
  const stage: Stage = stages[options.stage]
  return stage.variants?.(options) ?? []
}

/** The cache key of a step: a hash of everything that its result depends on. */
export async function keyOf(
  { options }: Task,
  input: Stored,
  teacher: Stored,
  { environment, seed, task, data, providers }: World,
  variants: ReadonlyMap<string, Stored> = new Map(),
): Promise<string> {
  // Training curves, summaries, advice and taps are for people; no stage reads them.
  const { epochs: _, summary: __, advice: ___, taps: ____, ...facts } = input.facts
  const stage: Stage = stages[options.stage]
  const others = variantsOf(options).map((id) => [id, variants.get(id)?.hash])
  const parts = dataUseOf(options) === 'never' ? undefined : data?.splits
  return hashOf({
    options: await withFileHashes(options),
    input: input.hash,
    facts,
    teacher: teacher.hash,
    ...(others.length > 0 && { variants: others }),
    // Calibration is a part of the training data that seed and options decide; stages never see the test split.
    data: parts && [
      parts.train.fingerprint,
      parts.validation.fingerprint,
      ...(parts.unlabelled ? [parts.unlabelled.fingerprint] : []),
    ],
    seed,
    task,
    environment,
    ...(stage.checksProviders && providers && { providers }),
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
  for (const path of paths) hashes.set(path, await hashOfNamedFile(path))
  return mapPaths(options, (path) => hashes.get(path) ?? path)
}

/** Files that are no models: what was measured or recorded. */
const endingsOfData: ReadonlySet<string> = new Set(['.json', '.safetensors', '.npz'])

async function hashOfNamedFile(path: string): Promise<string> {
  if (!endingsOfData.has(extname(path).toLowerCase())) return hashOfModelFile(path)
  try {
    return await sha256OfFile(path)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}
