// `condense profile`: what each layer of a model costs, and what compression did to it.
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { costliest } from '../benchmarks/layers/table.ts'
import { layersNotes, layersTable } from '../benchmarks/report/layers.ts'
import { profile } from '../pipeline/profile.ts'
import type { Arguments, CommandContext } from './commands.ts'
import { exitCodes } from './exit.ts'
import {
  dataOption,
  numberOption,
  providersOption,
  settingDeclarations,
  settingOption,
  shapeDeclaration,
  shapesOption,
  textOption,
} from './options.ts'
import { table } from './table.ts'
import { openTerminal } from './terminal.ts'

/** Declares the options of `condense profile`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('model', { type: 'string', demandOption: true, describe: 'An ONNX file' })
    .option('data', {
      type: 'string',
      describe: 'Data: digits, mnist, …, or YAML; random unless given',
    })
    .options(settingDeclarations)
    .option('teacher', {
      type: 'string',
      describe: 'The float model that the values of layers are compared with',
    })
    .option('provider', { type: 'string', default: 'cpu', describe: 'Where it runs' })
    .option('threads', { type: 'string', describe: 'Threads of a run; 1 unless given' })
    .option('batch', { type: 'string', describe: 'Samples in a run; 1 unless given' })
    .option('shape', shapeDeclaration)
    .option('seconds', { type: 'string', describe: 'Time for profiled runs, s; 1 unless given' })
    .option('seed', { type: 'string', describe: 'Seed of random inputs; 0 unless given' })
    .option('rows', {
      type: 'string',
      describe: 'So many of the costliest layers; all unless given',
    })
    .option('json', { type: 'boolean', default: false, describe: 'As JSON' })
    .example('$0 profile small.onnx --teacher big.onnx --data digits', 'Layers and their noise')

/** Measures, and prints the table. */
export async function execute(args: Arguments, { signal }: CommandContext): Promise<number> {
  const whole = (name: string, minimum: number) =>
    numberOption(args, name, { minimum, integer: true })
  const [provider, ...more] = providersOption(args, 'provider')
  if (more.length > 0)
    throw new UserError(`--provider: one at a time: '${textOption(args, 'provider')}' — name one`)
  const rows = whole('rows', 1) ?? Number.POSITIVE_INFINITY
  const shapes = shapesOption(args)
  const terminal = openTerminal({ json: false })
  try {
    const measured = await profile({
      model: textOption(args, 'model') ?? '',
      teacher: textOption(args, 'teacher'),
      data: dataOption(args),
      ...settingOption(args),
      provider,
      threads: whole('threads', 1),
      batch: whole('batch', 1),
      shapes,
      seconds: numberOption(args, 'seconds', { minimum: 0.01 }),
      seed: whole('seed', 0) ?? 0,
      signal,
      onEvent: terminal.listen,
    })
    terminal.close()
    if (args.json === true) process.stdout.write(`${JSON.stringify(measured, null, 2)}\n`)
    else {
      const { columns, rows: lines } = layersTable(costliest(measured, rows), '')
      const text = lines.map((cells) =>
        cells.map(({ text: cell, note }) => (note === undefined ? cell : `${cell} (${note})`)),
      )
      const headings = columns.map(({ title }) => title)
      process.stdout.write(`${table(headings, text)}\n\n${layersNotes([measured]).join('\n')}\n`)
    }
    return exitCodes.done
  } finally {
    terminal.close()
  }
}
