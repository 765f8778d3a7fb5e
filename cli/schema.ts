// `condense schema`: the JSON Schema of recipes, for editors.
import type { Argv } from 'yargs'
import { recipeSchema } from '../pipeline/schema.ts'
import { exitCodes } from './exit.ts'

/** Declares nothing: the command has no options. */
export const build = (yargs: Argv): Argv => yargs

/** Prints the schema. */
export async function execute(): Promise<number> {
  process.stdout.write(`${JSON.stringify(recipeSchema(), null, 2)}\n`)
  return exitCodes.done
}
