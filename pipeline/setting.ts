// What models are for: the task, and how samples become their inputs; from the recipe and from the model's own files.
import { z } from 'zod'
import type { OpenOptions } from '../data/open.ts'
import { preprocessOptions } from '../data/preprocess.ts'
import type { HubConfig } from '../models/hub-config.ts'
import { type TaskName, tasks } from '../tasks/index.ts'
import { inputOptions } from './inputs.ts'

/** The part of a recipe that says what models are for and how they are fed. */
export const settingOptions = {
  task: z
    .enum(Object.keys(tasks) as [TaskName, ...TaskName[]])
    .default('classification')
    .describe('What the models are for: it brings losses, metrics and measures of retention.'),
  preprocess: preprocessOptions
    .optional()
    .describe(
      "How samples become numbers, value = (sample * scale - mean) / std; as the model's own preprocessor_config.json says unless given.",
    ),
  inputs: inputOptions,
} as const

/** The same, resolved. */
export type Setting = z.output<z.ZodObject<typeof settingOptions>>

/** What of this the data depends on; the model's own files, and the classes that it states, have their say where the
 * recipe has none. */
export function dataSetting(
  { task, preprocess, inputs }: Setting,
  hub: HubConfig | undefined,
  folder: string | undefined,
  stated?: readonly string[] | undefined,
): Pick<OpenOptions, 'target' | 'preprocess' | 'inputs' | 'model'> {
  const features = {
    ...(hub?.image && { image: hub.image }),
    ...(hub?.text && { text: hub.text.options }),
  }
  return {
    target: tasks[task].target,
    preprocess: preprocess ?? preprocessOptions.parse(hub?.preprocess ?? {}),
    inputs,
    model: { folder, classes: hub?.labels ?? stated, features },
  }
}
