// The layer table of one file, without a recipe.
import { join } from 'node:path'
import { UserError } from '../base/errors.ts'
import { startCell } from '../benchmarks/cell-process.ts'
import { requireProfiles } from '../benchmarks/layers/profile.ts'
import type { LayersRequest } from '../benchmarks/layers/table.ts'
import type { LayerTable } from '../benchmarks/report/report.ts'
import { inFile } from '../benchmarks/test-data.ts'
import type { DatasetRecipe } from '../data/dataset.ts'
import { type ProviderName, requireProvider } from '../runtime/providers.ts'
import { defaultCacheFolder, prepareCache, withScratchFolder } from './cache.ts'
import { localModel } from './local-models.ts'
import { type MadeUpRequest, madeUpInputs } from './made-up.ts'
import { openNamedData, type Surroundings } from './surroundings.ts'

/** A model to be profiled; paths, folders of the Hub and addresses are as in a recipe. */
export interface ProfileRequest extends Surroundings, MadeUpRequest {
  readonly model: string
  /** The float model that values of the same name are compared with. */
  readonly teacher?: string | undefined
  readonly provider?: ProviderName | undefined
  readonly threads?: number | undefined
  readonly batch?: number | undefined
  /** Time for profiled runs, s; one unless told. */
  readonly seconds?: number | undefined
}

/** Samples that are enough for a table. */
const enough = 64

/**
 * Measures what each node of a model costs, in a process of its own; inputs are made up where no data is named.
 *
 * A provider that is not here or writes no profile, and a model that cannot be run, are a {@link UserError}.
 */
export async function profile(request: ProfileRequest): Promise<LayerTable> {
  const { seed = 0, signal, onEvent, provider = 'cpu', threads = 1, batch = 1 } = request
  const { cacheFolder = defaultCacheFolder(), data, seconds = 1 } = request
  const madeUp = madeUpInputs(request, 'condense profile')
  requireProfiles(provider)
  await requireProvider(provider)
  prepareCache(cacheFolder)
  const log = (message: string) => onEvent?.({ event: 'log', message })
  const here = (file: string) => localModel({ file }, { cacheFolder, signal, log })
  const { source, folder } = await here(request.model)
  const teacher = request.teacher === undefined ? undefined : await here(request.teacher)
  const opened =
    data === undefined
      ? undefined
      : // What is to be predicted does not matter, and need not be known.
        await openNamedData({ task: 'match', ...request }, cacheFolder, 'profile', { folder })
  return await withScratchFolder(cacheFolder, async (workFolder) => {
    const cell = startCell({ signal })
    try {
      const asked: LayersRequest = {
        path: source.file,
        where: request.model,
        ...{ provider, threads, batch, seconds },
        teacher: teacher?.source.file,
        random: { seed, ...madeUp },
      }
      const recipe = opened && someOf(opened.data.splits.test.recipe, enough + batch)
      const samples = recipe && inFile(recipe, join(workFolder, 'test.records'))
      return await cell.ask('layers', { ...asked, data: samples })
    } catch (thrown) {
      throw userErrorOf(thrown)
    } finally {
      await cell.close()
    }
  })
}

const someOf = (recipe: DatasetRecipe, count: number): DatasetRecipe => ({
  ...recipe,
  indices: recipe.indices.slice(0, count),
  labels: recipe.labels.slice(0, count),
})

/** What went wrong in the process, where the user can mend it; all else as it is. */
const userErrorOf = (thrown: unknown): unknown =>
  thrown instanceof Error && (thrown as { user?: boolean }).user === true
    ? new UserError(thrown.message, { cause: thrown })
    : thrown
