// What a stage or a benchmark outside of a recipe has around it: data, seed, folders.
import type { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { type OpenData, openData } from '../data/open.ts'
import { dataOptions } from '../data/sources.ts'
import type { Listener } from './events.ts'
import { validated } from './problems.ts'

/** The `data` section of a recipe, as it is written. */
export type DataInput = z.input<typeof dataOptions>

/** What a stage or a benchmark outside of a recipe needs. */
export interface Surroundings {
  readonly data?: DataInput | undefined
  readonly seed?: number
  readonly cacheFolder?: string | undefined
  readonly dataFolder?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onEvent?: Listener | undefined
}

/** Reads the data; that none was named is a `UserError`. */
export async function openNamedData(
  { data, seed = 0, dataFolder, onEvent }: Surroundings,
  cacheFolder: string,
  where: string,
  calibration?: number,
): Promise<OpenData> {
  if (data === undefined)
    throw new UserError(
      `${where}: it needs data: none was named — give a data set, as --data digits`,
    )
  return await openData(validated(dataOptions, data, `${where}: data`), {
    seed,
    cacheFolder,
    dataFolder,
    ...(calibration !== undefined && { calibration }),
    log: (message) => onEvent?.({ event: 'log', message }),
  })
}
