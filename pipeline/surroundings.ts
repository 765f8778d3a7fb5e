// What a stage or a benchmark outside of a recipe has around it: data, seed, folders.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { type OpenData, openData } from '../data/open.ts'
import type { preprocessOptions } from '../data/preprocess.ts'
import { dataOptions } from '../data/sources.ts'
import type { TaskName } from '../tasks/index.ts'
import type { Listener } from './events.ts'
import { hubConfigIn } from './local-models.ts'
import { validated } from './problems.ts'
import { dataSetting, settingOptions } from './setting.ts'
import { codeVersion } from './version.ts'

/** The `data` section of a recipe, as it is written. */
export type DataInput = z.input<typeof dataOptions>

/** What a stage or a benchmark outside of a recipe needs. */
export interface Surroundings {
  readonly data?: DataInput | undefined
  /** What the models are for; `classification` unless told. */
  readonly task?: TaskName | undefined
  /** The `preprocess` section of a recipe. */
  readonly preprocess?: z.input<typeof preprocessOptions> | undefined
  /** The `inputs` section of a recipe. */
  readonly inputs?: z.input<typeof settingOptions.inputs>
  readonly seed?: number
  readonly cacheFolder?: string | undefined
  readonly dataFolder?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onEvent?: Listener | undefined
}

/** The data, and what of the surroundings goes with it. */
export interface NamedData {
  readonly data: OpenData
  readonly task: TaskName
}

/** What of a model data depends on. */
export interface ModelSetting {
  /** The folder of its own files. */
  readonly folder?: string | undefined
  /** The names that it states for its classes. */
  readonly classes?: readonly string[] | undefined
  /** So many samples are wanted for calibration. */
  readonly calibration?: number
}

/** Reads the data; that none was named is a `UserError`. `folder` is that of the model, whose own files may say more. */
export async function openNamedData(
  request: Surroundings,
  cacheFolder: string,
  where: string,
  { folder, calibration, classes }: ModelSetting = {},
): Promise<NamedData> {
  const { data, seed = 0, dataFolder, onEvent, signal, task, preprocess, inputs } = request
  if (data === undefined)
    throw new UserError(
      `${where}: it needs data: none was named — give a data set, as --data digits`,
    )
  const setting = validated(z.strictObject(settingOptions), { task, preprocess, inputs }, where)
  const opened = await openData(validated(dataOptions, data, `${where}: data`), {
    ...{ seed, cacheFolder, dataFolder, signal, version: codeVersion() },
    ...dataSetting(setting, await hubConfigIn(folder), folder, classes),
    ...(calibration !== undefined && { calibration }),
    log: (message) => onEvent?.({ event: 'log', message }),
  })
  return { data: opened, task: setting.task }
}
