// `condense compare`: models of several runs side by side, from their reports or measured together.
import { join } from 'node:path'
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { makeWritable, writeAtomically } from '../base/files.ts'
import type { Arguments, CommandContext } from './commands.ts'
import { exitCodes } from './exit.ts'
import {
  dataOption,
  numberOption,
  providersOption,
  settingDeclarations,
  settingOption,
  textOption,
  textsOption,
} from './options.ts'
import { openTerminal } from './terminal.ts'

/** Options that say how to measure, and need `--measure`. */
const measuring = {
  ...settingDeclarations,
  data: { type: 'string', describe: 'Data to measure with; that of the runs unless given' },
  teacher: { type: 'string', describe: 'The teacher; that of the runs, or the first file' },
  providers: { type: 'string', describe: 'Where to measure, as cpu,wasm; cpu unless given' },
  seconds: { type: 'string', describe: 'Time for each model, provider and threads, s' },
} as const

/** Declares the options of `condense compare`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('models', {
      type: 'string',
      array: true,
      demandOption: true,
      describe: 'Folders of runs, reports, RUN:VARIANT, or ONNX files',
    })
    .option('measure', {
      type: 'boolean',
      default: false,
      describe: 'Measure all of them anew, in turn, on this machine',
    })
    .options(measuring)
    .option('out', { type: 'string', alias: 'o', describe: 'Folder for the page and the tables' })
    .option('json', { type: 'boolean', default: false, describe: 'The comparison as JSON' })
    .example('$0 compare runs/monday runs/tuesday:int8 -o compared', 'What two runs have measured')
    .example('$0 compare runs/a:int8 runs/b:int8 --measure', 'Both timed in turn, here')

/** Compares, prints a table, and writes the page and the tables where asked. */
export async function execute(args: Arguments, { signal }: CommandContext): Promise<number> {
  const texts = textsOption(args, 'models')
  const folder = textOption(args, 'out')
  if (folder) makeWritable(folder)
  const files =
    args.measure === true ? await measured(args, texts, signal) : await told(args, texts)
  if (folder)
    for (const [name, content] of Object.entries(files.all))
      writeAtomically(join(folder, name), content)
  process.stdout.write(args.json === true ? files.json : files.markdown)
  return exitCodes.done
}

/** What was written, by name, and what is shown on the terminal. */
interface Files {
  readonly all: Readonly<Record<string, string>>
  readonly json: string
  readonly markdown: string
}

/** What the reports say. */
async function told(args: Arguments, texts: readonly string[]): Promise<Files> {
  const stray = Object.keys(measuring).find((name) => args[name] !== undefined)
  if (stray)
    throw new UserError(
      `--${stray}: nothing is measured: '${textOption(args, stray)}' — add --measure, or leave it out`,
    )
  const { compare } = await import('../pipeline/compare.ts')
  const { renderComparison } = await import('../benchmarks/comparison/render.ts')
  const all = renderComparison(await compare(texts))
  return { all, json: all['comparison.json'], markdown: all['comparison.md'] }
}

/** What measuring all of them together says: a report like that of `condense bench`. */
async function measured(
  args: Arguments,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<Files> {
  const { measurable } = await import('../pipeline/compare.ts')
  const { bench } = await import('../pipeline/bench.ts')
  const request = await measurable(texts, {
    ...{ data: dataOption(args), teacher: textOption(args, 'teacher') },
    ...settingOption(args),
  })
  const seconds = numberOption(args, 'seconds', { minimum: 0.01 })
  const folder = textOption(args, 'out')
  const terminal = openTerminal({ json: false })
  try {
    const report = await bench({
      ...request,
      ...(args.providers !== undefined && { providers: providersOption(args, 'providers') }),
      ...(seconds !== undefined && { latency: { seconds } }),
      ...(folder && { folder }),
      ...{ signal, onEvent: terminal.listen },
    })
    terminal.close()
    const { renderReport } = await import('../benchmarks/report/render.ts')
    const all = renderReport(report)
    return { all, json: all['report.json'], markdown: all['report.md'] }
  } finally {
    terminal.close()
  }
}
