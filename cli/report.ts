// `condense report`: a report.json rendered again, as after an upgrade of Condense.
import { dirname, join, resolve } from 'node:path'
import type { Argv } from 'yargs'
import { makeWritable, writeAtomically } from '../base/files.ts'
import type { Arguments, CommandContext } from './commands.ts'
import { exitCodes } from './exit.ts'
import { textOption } from './options.ts'

/** Declares the options of `condense report`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('run', {
      type: 'string',
      demandOption: true,
      describe: 'The folder of a run, or its report.json',
    })
    .option('out', {
      type: 'string',
      alias: 'o',
      describe: "Folder for the files; the report's own unless given",
    })
    .example('$0 report runs/digits', 'Render the page and the tables again')

/** Writes every file of the report and prints their paths. */
export async function execute(args: Arguments, _context: CommandContext): Promise<number> {
  const { readReport, reportPath } = await import('../benchmarks/report/read.ts')
  const { renderReport } = await import('../benchmarks/report/render.ts')
  const path = reportPath(textOption(args, 'run') ?? '')
  const files = renderReport(readReport(path))
  const folder = textOption(args, 'out') ?? dirname(path)
  makeWritable(folder)
  for (const [name, content] of Object.entries(files)) {
    // What was read is not written over.
    if (resolve(folder, name) !== resolve(path)) writeAtomically(join(folder, name), content)
    process.stdout.write(`${join(folder, name)}\n`)
  }
  return exitCodes.done
}
