// `condense schema`: the JSON Schema of recipes, or of nightly suites, for editors.
import type { Argv } from 'yargs'
import { suiteSchema } from '../pipeline/nightly/suite.ts'
import { recipeSchema } from '../pipeline/schema.ts'
import type { Arguments } from './commands.ts'
import { exitCodes } from './exit.ts'

/** Declares the option of `condense schema`. */
export const build = (yargs: Argv): Argv =>
  yargs.option('suite', {
    type: 'boolean',
    default: false,
    describe: "Of suites, as 'condense nightly' reads them",
  })

/** Prints the schema. */
export async function execute(args: Arguments): Promise<number> {
  const schema = args.suite === true ? suiteSchema() : recipeSchema()
  process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`)
  return exitCodes.done
}
