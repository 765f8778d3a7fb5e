// `condense init`: a commented recipe to start from.
import { existsSync } from 'node:fs'
import { basename, dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { writeAtomically } from '../base/files.ts'
import { loadModel } from '../onnx/load.ts'
import { mapPaths } from '../pipeline/paths.ts'
import { parseRecipe } from '../pipeline/read-recipe.ts'
import { recipeTemplate } from '../pipeline/template.ts'
import type { Arguments } from './commands.ts'
import { exitCodes } from './exit.ts'
import { dataOption, textOption } from './options.ts'

/** Declares the options of `condense init`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('model', {
      type: 'string',
      describe: 'The teacher, an ONNX file; one is trained unless given',
    })
    .option('data', {
      type: 'string',
      default: 'digits',
      describe: 'Data: digits, mnist, …, or YAML',
    })
    .option('out', {
      type: 'string',
      alias: 'o',
      default: 'recipe.yaml',
      describe: 'Path of the recipe',
    })
    .option('force', { type: 'boolean', default: false, describe: 'Replace a file that is there' })
    .example('$0 init model.onnx --data cifar10', 'Write recipe.yaml for a model')

/** Writes the recipe. */
export async function execute(args: Arguments): Promise<number> {
  const path = textOption(args, 'out') ?? 'recipe.yaml'
  if (existsSync(path) && args.force !== true)
    throw new UserError(`${path}: is there already — give another path with --out, or --force`)
  const model = textOption(args, 'model')
  // Whether it is a model shows now, not when the recipe runs.
  if (model !== undefined) await loadModel(model)
  const data = dataOption(args) ?? { source: 'digits' as const }
  const folder = dirname(resolve(path))
  const fromRecipe = (file: string) => relative(folder, resolve(file)).replaceAll('\\', '/')
  const text = recipeTemplate({
    name: nameFor(model ?? data.source ?? data.path ?? ''),
    model: model && fromRecipe(model),
    data: mapPaths(data, fromRecipe),
    schema: fromRecipe(schemaPath()),
  })
  // What is written here must be a recipe, whatever names came in.
  parseRecipe(text, path)
  writeAtomically(path, text)
  process.stdout.write(`${path}: written — edit it, then: condense run ${path}\n`)
  return exitCodes.done
}

/** The name of the run: the model's or the data's, without what may not be in a folder's name. */
function nameFor(path: string): string {
  const name = basename(path, '.onnx').replace(/[^A-Za-z0-9._-]+/g, '-')
  return /^[A-Za-z0-9]/.test(name) ? name.slice(0, 100) : 'model'
}

/** schema.json of this package: beside the sources, or one level above the built code. */
function schemaPath(): string {
  const folder = dirname(fileURLToPath(import.meta.url))
  const inSources = resolve(folder, '../schema.json')
  return existsSync(inSources) ? inSources : resolve(folder, '../../schema.json')
}
