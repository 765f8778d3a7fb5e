// `condense ops`: which operators can be trained through, as docs/ops.md says it.
import type { Argv } from 'yargs'
import { coverageText } from '../train/coverage.ts'
import { exitCodes } from './exit.ts'

/** Declares nothing: the command has no options. */
export const build = (yargs: Argv): Argv => yargs

/** Prints the table. */
export async function execute(): Promise<number> {
  process.stdout.write(coverageText())
  return exitCodes.done
}
