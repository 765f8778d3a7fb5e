// `condense bench`: files measured against a teacher, without a recipe.
import { join } from 'node:path'
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { makeWritable, writeAtomically } from '../base/files.ts'
import { bench } from '../pipeline/bench.ts'
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
  textsOption,
} from './options.ts'
import {
  failureText,
  openServed,
  portOption,
  serveDeclaration,
  untilInterrupted,
} from './serve/option.ts'
import type { Served } from './serve/serve.ts'
import { openTerminal } from './terminal.ts'

/** Declares the options of `condense bench`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('models', {
      type: 'string',
      array: true,
      demandOption: true,
      describe: 'ONNX files',
    })
    .option('data', {
      type: 'string',
      describe: 'Data: digits, mnist, …, or YAML; random inputs unless given, and no accuracy',
    })
    .options(settingDeclarations)
    .option('shape', shapeDeclaration)
    .option('teacher', { type: 'string', describe: 'The teacher; the first model unless given' })
    .option('providers', { type: 'string', default: 'cpu', describe: 'As cpu,wasm,webgpu:browser' })
    .option('seconds', { type: 'string', describe: 'Time for each model, provider and threads, s' })
    .option('knowledge', {
      type: 'boolean',
      default: true,
      describe: "What is left of the teacher's knowledge; --no-knowledge is quicker",
    })
    .option('samples', {
      type: 'boolean',
      default: true,
      describe: 'Show samples that were forgotten; --no-samples keeps the data out of the report',
    })
    .option('out', {
      type: 'string',
      alias: 'o',
      describe: 'Folder for report.html, .md, .json, .csv and .junit.xml',
    })
    .option('serve', serveDeclaration)
    .option('json', { type: 'boolean', default: false, describe: 'The report as JSON' })
    .example(
      '$0 bench big.onnx small.onnx --data digits --providers cpu,wasm',
      'Compare two models',
    )

/** Measures, and writes the report to stdout and, where asked, to a folder. */
export async function execute(args: Arguments, { signal }: CommandContext): Promise<number> {
  const [first, ...others] = textsOption(args, 'models')
  const named = textOption(args, 'teacher')
  const teacher = named ?? first
  if (first === undefined || teacher === undefined)
    throw new UserError('condense bench: no model was given — give the path of an ONNX file')
  const folder = textOption(args, 'out')
  const seconds = numberOption(args, 'seconds', { minimum: 0.01 })
  const json = args.json === true
  const port = portOption(args)
  const terminal = openTerminal({ json: false })
  let served: Served | undefined
  try {
    if (folder) makeWritable(folder)
    served = port === undefined ? undefined : await openServed({ name: 'bench', port, terminal })
    const report = await bench({
      teacher,
      models: named === undefined ? others : [first, ...others],
      data: dataOption(args),
      ...settingOption(args),
      shapes: shapesOption(args),
      providers: providersOption(args, 'providers'),
      ...(seconds !== undefined && { latency: { seconds } }),
      ...(args.knowledge === false && { knowledge: false }),
      ...(args.samples === false && { samples: false }),
      ...(folder && { folder }),
      signal,
      onEvent(event) {
        terminal.listen(event)
        served?.listen(event)
      },
      onPartial: served?.partial,
    })
    const { renderReport } = await import('../benchmarks/report/render.ts')
    const rendered = renderReport(report)
    await served?.done(rendered['report.html'])
    terminal.close()
    if (folder)
      for (const [name, content] of Object.entries(rendered))
        writeAtomically(join(folder, name), content)
    process.stdout.write(rendered[json ? 'report.json' : 'report.md'])
    if (served && !json) await untilInterrupted(served, signal)
    return exitCodes.done
  } catch (thrown) {
    await served?.failed(failureText(thrown, signal))
    throw thrown
  } finally {
    terminal.close()
    await served?.close()
  }
}
