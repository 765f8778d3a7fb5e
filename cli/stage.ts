// One command for each stage: its options are those of the stage's schema, so that nothing is described twice.
import type { Argv, Options } from 'yargs'
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { formatBytes } from '../benchmarks/report/format.ts'
import { runStage } from '../pipeline/single.ts'
import { type StageName, stages } from '../stages/index.ts'
import type { Stage } from '../stages/stage.ts'
import type { Arguments, CommandContext, CommandModule } from './commands.ts'
import { exitCodes } from './exit.ts'
import {
  dataOption,
  modelOption,
  numberOption,
  providersOption,
  settingDeclarations,
  settingOption,
  textOption,
  yamlOption,
} from './options.ts'
import { openTerminal } from './terminal.ts'

/** The command of a stage. */
export function stageCommand(name: string): CommandModule {
  // The table of commands names stages of the table of stages; a test compares them.
  const stage: Stage = stages[name as StageName]
  const flags = flagsOf(stage.options)
  return {
    build: (yargs) => build(yargs, name as StageName, flags),
    execute: (args, context) => execute(args, context, name as StageName, flags),
  }
}

function build(yargs: Argv, name: StageName, flags: readonly Flag[]): Argv {
  const own = Object.fromEntries(flags.map((flag) => [flag.name, flag.declaration]))
  return yargs
    .positional('model', {
      type: 'string',
      demandOption: true,
      describe: "The model: an ONNX file, or an architecture as '{ architecture: lenet }'",
    })
    .option('out', {
      type: 'string',
      alias: 'o',
      demandOption: true,
      describe: 'Path of the result',
    })
    .options(own)
    .option('data', {
      type: 'string',
      describe: "Data: digits, mnist, …, or '{ format: csv, path: table.csv, target: price }'",
    })
    .options(settingDeclarations)
    .option('teacher', { type: 'string', describe: 'The teacher; the model itself unless given' })
    .option('seed', {
      type: 'string',
      describe: 'Decides everything that is random; 0 unless given',
    })
    .option('threads', { type: 'string', describe: 'Threads; all cores unless given' })
    .option('provider', { type: 'string', describe: 'Where training runs; cpu unless given' })
    .option('json', { type: 'boolean', default: false, describe: 'Events as JSON lines' })
    .group([...flags.map((flag) => flag.name)], `Options of ${name}:`)
}

async function execute(
  args: Arguments,
  { signal }: CommandContext,
  name: StageName,
  flags: readonly Flag[],
): Promise<number> {
  const output = textOption(args, 'out')
  if (!output) throw new UserError(`condense ${name}: --out: missing — give the path of the result`)
  const json = args.json === true
  const terminal = openTerminal({ json })
  try {
    const [provider] = providersOption(args, 'provider')
    const result = await runStage({
      options: { stage: name, ...given(flags, args) },
      model: modelOption(textOption(args, 'model') ?? ''),
      output,
      data: dataOption(args),
      ...settingOption(args),
      teacher: textOption(args, 'teacher'),
      seed: numberOption(args, 'seed', { integer: true, minimum: 0 }) ?? 0,
      threads: numberOption(args, 'threads', { integer: true, minimum: 1 }),
      ...(provider && { provider }),
      signal,
      onEvent: terminal.listen,
    })
    terminal.close()
    process.stdout.write(
      json
        ? `${JSON.stringify({ event: 'result', ...result })}\n`
        : `${result.path}: ${formatBytes(result.sizeBytes)}\n`,
    )
    return exitCodes.done
  } finally {
    terminal.close()
  }
}

/** A flag for one option of a stage. */
interface Flag {
  /** `calibration.method`. */
  readonly name: string
  readonly isList: boolean
  readonly declaration: Options
}

/** A part of a JSON Schema, as far as flags need it. */
interface Property {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, Property>>
}

/** A flag for each option; mappings become several flags, lists have commas, and what is neither is written as YAML. */
export function flagsOf(options: z.ZodType): Flag[] {
  // What zod writes is a JSON Schema, of which Property is a part.
  return flagsIn(z.toJSONSchema(options, { io: 'input' }) as Property, '')
}

const flagsIn = ({ properties = {} }: Property, prefix: string): Flag[] =>
  Object.entries(properties)
    .filter(([, { const: fixed }]) => fixed === undefined)
    .flatMap(([key, property]) =>
      property.properties
        ? flagsIn(property, `${prefix}${key}.`)
        : [
            {
              name: `${prefix}${key}`,
              isList: property.type === 'array',
              declaration: declarationOf(property),
            },
          ],
    )

function declarationOf({
  type,
  description = '',
  enum: choices,
  default: fallback,
}: Property): Options {
  const isPlain = ['string', 'number', 'integer', 'boolean'].includes(type ?? '')
  const details = [
    ...(choices ? [`one of ${choices.join(', ')}`] : []),
    ...(isPlain || choices
      ? []
      : [type === 'array' ? 'a list with commas, or as YAML' : 'as YAML']),
    ...(fallback === undefined ? [] : [`${JSON.stringify(fallback)} unless given`]),
  ]
  const text = description.replace(/\.$/, '')
  return {
    type: type === 'boolean' ? 'boolean' : 'string',
    describe: details.length > 0 ? `${text} (${details.join('; ')})` : text,
  }
}

/** The options that were given, as the nested data that a recipe would hold. */
function given(flags: readonly Flag[], args: Arguments): Record<string, unknown> {
  const options: Record<string, unknown> = {}
  for (const { name, isList } of flags) {
    const value = args[name]
    if (value === undefined) continue
    const keys = name.split('.')
    const last = keys.pop() ?? name
    let at = options
    for (const key of keys) {
      at[key] ??= {}
      at = at[key] as Record<string, unknown>
    }
    const read = typeof value === 'boolean' ? value : yamlOption(name, textOption(args, name) ?? '')
    at[last] =
      isList && typeof read === 'string' ? read.split(',').map((item) => item.trim()) : read
  }
  return options
}
