// Reading options of the command line. The parser leaves text, so that what is wrong is told in our own words.
import { parse } from 'yaml'
import { messageOf, UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { sources } from '../data/sources.ts'
import type { ModelSource } from '../models/source.ts'
import { modelSource } from '../models/source.ts'
import { validated } from '../pipeline/problems.ts'
import type { DataInput, Surroundings } from '../pipeline/surroundings.ts'
import { type ProviderName, providerNamed } from '../runtime/providers.ts'
import { type TaskName, tasks } from '../tasks/index.ts'
import type { Arguments } from './commands.ts'

/** An option's text; given twice, the last one counts. */
export function textOption(args: Arguments, name: string): string | undefined {
  const value = args[name]
  const last: unknown = Array.isArray(value) ? value.at(-1) : value
  return last === undefined ? undefined : String(last)
}

/** The texts of an option that may be given more than once. */
export function textsOption(args: Arguments, name: string): string[] {
  const value = args[name]
  return value === undefined ? [] : (Array.isArray(value) ? value : [value]).map(String)
}

/** An option's number; what is none, or out of range, is a {@link UserError}. */
export function numberOption(
  args: Arguments,
  name: string,
  { integer = false, minimum = Number.NEGATIVE_INFINITY } = {},
): number | undefined {
  const text = textOption(args, name)
  if (text === undefined) return undefined
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isFinite(value) && value >= minimum && (!integer || Number.isSafeInteger(value)))
    return value
  const kind = integer ? 'a whole number' : 'a number'
  const bound = Number.isFinite(minimum) ? ` of at least ${minimum}` : ''
  throw new UserError(`--${name}: expected ${kind}${bound}: '${text}' — correct it`)
}

/** `--data`: the name of a data set, or the `data` section of a recipe as YAML. */
export function dataOption(args: Arguments): DataInput | undefined {
  const text = textOption(args, 'data')
  if (text === undefined) return undefined
  if (Object.hasOwn(sources, text)) return { source: text as keyof typeof sources }
  const value = yamlOption('data', text)
  if (typeof value === 'object' && value !== null) return value as DataInput
  throw new UserError(
    `--data: unknown data set: '${text}' — ${suggest(text, Object.keys(sources))}; for files of your own give '{ format: idx, path: folder }'`,
  )
}

/** `--task`, `--preprocess` and `--inputs`, as a recipe has them; they are validated with the data. */
export function settingOption(
  args: Arguments,
): Pick<Surroundings, 'task' | 'preprocess' | 'inputs'> {
  const task = textOption(args, 'task')
  if (task !== undefined && !Object.hasOwn(tasks, task))
    throw new UserError(`--task: unknown task: '${task}' — ${suggest(task, Object.keys(tasks))}`)
  const section = (name: 'preprocess' | 'inputs') => {
    const text = textOption(args, name)
    return text === undefined ? undefined : yamlOption(name, text)
  }
  return {
    task: task as TaskName | undefined,
    preprocess: section('preprocess') as Surroundings['preprocess'],
    inputs: section('inputs') as Surroundings['inputs'],
  }
}

/** Declares the options that {@link settingOption} reads. */
export const settingDeclarations = {
  task: { type: 'string', describe: `What the model is for: ${Object.keys(tasks).join(', ')}` },
  preprocess: {
    type: 'string',
    describe: "How samples become numbers, as '{ mean: 0.5, std: 0.5 }'",
  },
  inputs: {
    type: 'string',
    describe: "Where inputs come from, as '{ input_ids: { column: text } }'",
  },
} as const

/** A model on the command line: a path, or an architecture as YAML (`{ architecture: lenet }`). */
export function modelOption(text: string): ModelSource {
  return text.trimStart().startsWith('{')
    ? validated(modelSource, yamlOption('model', text), 'model')
    : { file: text }
}

/** `--providers cpu,wasm`. */
export function providersOption(args: Arguments, name: string): ProviderName[] {
  const names = textsOption(args, name).flatMap((text) => text.split(','))
  for (const provider of names) providerNamed(provider)
  // Every name has just been looked up.
  return names as ProviderName[]
}

/** A value written as YAML. */
export function yamlOption(name: string, text: string): unknown {
  try {
    return parse(text)
  } catch (thrown) {
    const reason = messageOf(thrown).split('\n')[0]!.replace(/:$/, '')
    throw new UserError(`--${name}: not YAML: ${reason} — correct it, or quote it for the shell`)
  }
}

/** Declares the option that {@link shapesOption} reads. */
export const shapeDeclaration = {
  type: 'string',
  array: true,
  describe: 'The shape of a random input, as x=1,3,224,224; free dimensions are 1 unless given',
} as const

/** `--shape x=1,3,224,224`, once for each input. */
export function shapesOption(args: Arguments): Record<string, number[]> | undefined {
  const texts = textsOption(args, 'shape')
  if (texts.length === 0) return undefined
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.lastIndexOf('=')
      const dims = text
        .slice(at + 1)
        .split(',')
        .map((part) => (/^\d+$/.test(part) ? Number(part) : 0))
      if (at < 1 || dims.some((dim) => dim < 1 || dim > 2 ** 31))
        throw new UserError(
          `--shape: expected a name and whole numbers: '${text}' — write it as x=1,3,224,224`,
        )
      return [text.slice(0, at), dims]
    }),
  )
}
