// Reading a recipe: from text to options that are whole, named and consistent.
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import type { z } from 'zod'
import { messageOf, UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { isModule } from '../data/sources.ts'
import { isModelAddress } from '../models/fetch.ts'
import type { ProviderName } from '../runtime/providers.ts'
import type { StageName } from '../stages/index.ts'
import { variantsOf } from './key.ts'
import { withOverrides, withProfile } from './overrides.ts'
import { mapPaths } from './paths.ts'
import { validated } from './problems.ts'
import {
  type Recipe,
  type RecipeInput,
  recipeOptions,
  type Step,
  type stepOptions,
  teacherId,
} from './recipe.ts'

/** A recipe that was read, and where it came from. */
export interface LoadedRecipe {
  /** With paths made absolute. */
  readonly recipe: Recipe
  /** As it was written, with the profile and `--set` applied. */
  readonly written: RecipeInput
  /** What messages call it: its path, or `recipe`. */
  readonly where: string
}

/**
 * Reads a recipe from YAML or JSON text.
 *
 * Relative paths in it are relative to its folder. Anything wrong is a {@link UserError} of one line.
 */
export function parseRecipe(text: string, path: string, options: ReadOptions = {}): LoadedRecipe {
  return checkRecipe(parseYaml(text, path), { ...options, where: path, folder: dirname(path) })
}

/** How a recipe is read. */
export interface ReadOptions {
  /** As `--set` has them; applied after the profile. */
  readonly overrides?: readonly string[]
  readonly profile?: string | undefined
  /** Where data is looked for that is not beside the recipe; `$CONDENSE_DATA` unless told. */
  readonly dataFolder?: string | undefined
}

interface CheckOptions extends ReadOptions {
  readonly where?: string
  readonly folder?: string
}

/** Validates a recipe that is already data; see {@link parseRecipe}. */
export function checkRecipe(
  value: unknown,
  { where = 'recipe', folder = '.', overrides = [], profile, dataFolder }: CheckOptions = {},
): LoadedRecipe {
  const chosen = profile === undefined ? value : withProfile(value, profile, where)
  const written = withOverrides(chosen, overrides)
  const { $schema: _, profiles: __, ...recipe } = validated(recipeOptions, written, where)
  if ('architecture' in recipe.teacher.model && !recipe.teacher.train)
    throw new UserError(
      `${where}: teacher.train: missing: an architecture starts with random weights — say how it is trained, as { epochs: 4 }`,
    )
  const resolved = { ...recipe, stages: placeSteps(recipe.stages, where) }
  checkGates(resolved, where)
  return {
    recipe: withPaths(resolved, folder, dataFolder),
    // It has just been validated.
    written: written as RecipeInput,
    where,
  }
}

/** Makes paths absolute: of models relative to the recipe, of data to the recipe or else to the folder of data. */
function withPaths(
  recipe: Recipe,
  folder: string,
  shared: string | undefined = process.env.CONDENSE_DATA,
): Recipe {
  const { data, ...rest } = recipe
  const models = mapPaths(rest, (path) => (isModelAddress(path) ? path : resolve(folder, path)))
  const dataPath = (path: string) => {
    const own = resolve(folder, path)
    const elsewhere = shared ? resolve(shared, path) : own
    return existsSync(own) || !existsSync(elsewhere) ? own : elsewhere
  }
  const found = mapPaths(data, dataPath)
  const { unlabelled } = found
  return {
    ...models,
    data: withModule(
      unlabelled ? { ...found, unlabelled: withModule(unlabelled, dataPath) } : found,
      dataPath,
    ),
  }
}

/** The same with the path of a module of the user's own changed. */
function withModule<Options extends { readonly source?: string | undefined }>(
  options: Options,
  change: (path: string) => string,
): Options {
  const { source } = options
  return source !== undefined && isModule(source) ? { ...options, source: change(source) } : options
}

/** The content of YAML or JSON text; what is neither is a {@link UserError}. */
export function parseYaml(text: string, path: string): unknown {
  try {
    const document = parseDocument(text, { prettyErrors: true })
    const [error] = document.errors
    if (error) throw error
    return document.toJS()
  } catch (thrown) {
    const reason = messageOf(thrown).split('\n')[0]!.replace(/:$/, '')
    throw new UserError(`${path}: neither YAML nor JSON: ${reason} — correct it there`, {
      cause: thrown,
    })
  }
}

/** Gives every step its id and the variant that it starts from. */
function placeSteps(steps: readonly z.output<typeof stepOptions>[], where: string): Step[] {
  const known: string[] = [teacherId]
  return steps.map((own, index) => {
    const at = `${where}: stages.${index}`
    const id = own.id ?? freeId(own.stage, steps, known)
    if (known.includes(id))
      throw new UserError(`${at}.id: two variants have this id: '${id}' — give them different ones`)
    const from = own.from ?? known.at(-1)!
    if (!known.includes(from))
      throw new UserError(`${at}.from: no earlier variant: '${from}' — ${suggest(from, known)}`)
    for (const variant of variantsOf(own))
      if (!known.includes(variant))
        throw new UserError(
          `${at}: reads a variant that is not made before: '${variant}' — ${suggest(variant, known)}`,
        )
    known.push(id)
    return { ...own, id, from }
  })
}

/** The stage's name, or with -2, -3 and so on where that is taken. */
function freeId(
  stage: StageName,
  steps: readonly { readonly id?: string | undefined }[],
  known: readonly string[],
): string {
  const taken = new Set([...known, ...steps.map(({ id }) => id)])
  let id: string = stage
  for (let count = 2; taken.has(id); count++) id = `${stage}-${count}`
  return id
}

/** Gates must name variants that there are, and providers that are measured. */
function checkGates({ stages: steps, benchmark }: Recipe, where: string): void {
  const { providers, gates } = benchmark
  const ids = [teacherId, ...steps.map(({ id }) => id)]
  const { variant, latency = {} } = gates ?? {}
  if (variant !== undefined && !ids.includes(variant))
    throw new UserError(
      `${where}: benchmark.gates.variant: no such variant: '${variant}' — ${suggest(variant, ids)}`,
    )
  for (const name of Object.keys(latency) as ProviderName[])
    if (!providers.includes(name))
      throw new UserError(
        `${where}: benchmark.gates.latency.${name}: the provider is not measured: '${name}' — add it to benchmark.providers`,
      )
}
