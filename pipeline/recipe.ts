// The recipe: the schema of the whole document, and reading one. Every option is documented here or where the part
// that it belongs to lives, once, by `.describe`.
import { dirname, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { messageOf, UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { defaultLatency } from '../benchmarks/latency.ts'
import { dataOptions } from '../data/sources.ts'
import { modelSource } from '../models/source.ts'
import { type ProviderName, providerNames } from '../runtime/providers.ts'
import { type StageName, stages } from '../stages/index.ts'
import type { Stage } from '../stages/stage.ts'
import { gatesOptions } from './gates.ts'
import { withOverrides } from './overrides.ts'
import { validated } from './problems.ts'

const provider = z.enum(providerNames as [ProviderName, ...ProviderName[]])

/** Names become folders, so they may hold nothing that leads elsewhere. */
const folderName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, "expected letters, digits, '.', '_' and '-'")

/** What the recipe adds to the options of a stage: its place in the chain. */
const place = {
  id: folderName
    .optional()
    .describe("Name of the variant; the stage's name, then with -2, -3, unless given."),
  from: z
    .string()
    .optional()
    .describe(
      "Id of the variant that the stage works on, or 'teacher'; the step before unless given.",
    ),
}

/** The options of a stage with its place; rules of the stage's own see its own options alone. */
const placed = <Options extends z.ZodObject>({ options }: Stage<Options>) =>
  z
    .strictObject({ ...(options.shape as Options['shape']), ...place })
    .superRefine((step, context) => {
      const { id: _, from: __, ...own } = step as Record<string, unknown>
      for (const { path, message } of options.safeParse(own).error?.issues ?? [])
        context.addIssue({ code: 'custom', path, message })
    })

const step = z
  .discriminatedUnion('stage', [
    placed(stages.train),
    placed(stages.distill),
    placed(stages.prune),
    placed(stages.quantize),
    placed(stages.optimize),
    placed(stages.export),
  ])
  .describe('One stage with its options.')

const latencyOptions = z
  .strictObject({
    batches: z
      .array(z.int().min(1))
      .min(1)
      .default([...defaultLatency.batches])
      .describe('Batch sizes; 1 is the headline.'),
    threads: z
      .array(z.union([z.int().min(1), z.literal('all')]))
      .min(1)
      .default([...defaultLatency.threads])
      .describe("Numbers of threads, 'all' for one a core; 1 is the headline."),
    rounds: z.int().min(1).default(defaultLatency.rounds).describe('Visits to each model.'),
    runs: z.int().min(1).default(defaultLatency.runs).describe('Timed runs a visit, at most.'),
    seconds: z
      .number()
      .positive()
      .default(defaultLatency.seconds)
      .describe('Time for each model and provider at the headline, s.'),
  })
  .describe('How latency is measured.')

/** Schema of a recipe. */
export const recipeOptions = z
  .strictObject({
    $schema: z.string().optional().describe('Where editors find the schema of recipes.'),
    name: folderName.describe('Name of the run and of its folder.'),
    seed: z.int().min(0).default(0).describe('Decides everything that is random.'),
    provider: provider.default('cpu').describe('Where training and teacher inference run.'),
    data: dataOptions,
    teacher: z
      .strictObject({
        model: modelSource.describe(
          'The teacher: an ONNX file, or an architecture to train first.',
        ),
        train: stages.train.options
          .omit({ stage: true })
          .optional()
          .describe('How the teacher is trained first; needed for an architecture.'),
      })
      .describe('The model that the others are compared with.'),
    stages: z.array(step).default([]).describe('What is done, in order.'),
    benchmark: z
      .strictObject({
        providers: z
          .array(provider)
          .min(1)
          .default(['cpu'])
          .describe('Execution providers that every variant is measured on.'),
        latency: latencyOptions.prefault({}),
        gates: gatesOptions.optional(),
      })
      .prefault({})
      .describe('What is measured of every variant.'),
  })
  .describe('A Condense recipe.')

/** A recipe as it is written. */
export type RecipeInput = z.input<typeof recipeOptions>

/** A step of a recipe with every default made explicit. */
export type Step = z.output<typeof step> & { readonly id: string; readonly from: string }

/** A recipe with every default made explicit. */
export type Recipe = Omit<z.output<typeof recipeOptions>, 'stages' | '$schema'> & {
  readonly stages: readonly Step[]
}

/** What the teacher is called among the variants. */
export const teacherId = 'teacher'

/** A recipe that was read, and where it came from. */
export interface LoadedRecipe {
  /** With paths made absolute. */
  readonly recipe: Recipe
  /** As it was written, with `--set` applied. */
  readonly written: RecipeInput
  /** What messages call it: its path, or `recipe`. */
  readonly where: string
}

/**
 * Reads a recipe from YAML or JSON text.
 *
 * Relative paths in it are relative to its folder. Anything wrong is a {@link UserError} of one line.
 */
export function parseRecipe(
  text: string,
  path: string,
  overrides: readonly string[] = [],
): LoadedRecipe {
  return checkRecipe(parseYaml(text, path), { where: path, folder: dirname(path), overrides })
}

/** Validates a recipe that is already data; see {@link parseRecipe}. */
export function checkRecipe(
  value: unknown,
  { where = 'recipe', folder = '.', overrides = [] as readonly string[] } = {},
): LoadedRecipe {
  const written = withOverrides(value, overrides)
  const { $schema: _, ...recipe } = validated(recipeOptions, written, where)
  if ('architecture' in recipe.teacher.model && !recipe.teacher.train)
    throw new UserError(
      `${where}: teacher.train: missing: an architecture starts with random weights — say how it is trained, as { epochs: 4 }`,
    )
  const resolved = { ...recipe, stages: placeSteps(recipe.stages, where) }
  checkGates(resolved, where)
  return {
    recipe: mapPaths(resolved, (path) => resolve(folder, path)),
    // It has just been validated.
    written: written as RecipeInput,
    where,
  }
}

function parseYaml(text: string, path: string): unknown {
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
function placeSteps(steps: readonly z.output<typeof step>[], where: string): Step[] {
  const known: string[] = [teacherId]
  return steps.map((own, index) => {
    const at = `${where}: stages.${index}`
    const id = own.id ?? freeId(own.stage, steps, known)
    if (known.includes(id))
      throw new UserError(`${at}.id: two variants have this id: '${id}' — give them different ones`)
    const from = own.from ?? known.at(-1)!
    if (!known.includes(from))
      throw new UserError(`${at}.from: no earlier variant: '${from}' — ${suggest(from, known)}`)
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

/**
 * Copies plain data, changing what stands under the keys `file` and `path`.
 *
 * In recipes these keys, and only these, are paths.
 */
export function mapPaths<Value>(value: Value, change: (path: string) => string): Value {
  const map = (inner: unknown, key = ''): unknown => {
    if (typeof inner === 'string') return key === 'file' || key === 'path' ? change(inner) : inner
    if (Array.isArray(inner)) return inner.map((item) => map(item))
    if (inner === null || typeof inner !== 'object') return inner
    return Object.fromEntries(Object.entries(inner).map(([name, item]) => [name, map(item, name)]))
  }
  // The structure is the same; only strings were replaced by strings.
  return map(value) as Value
}

/** The JSON Schema of recipes, for editors and other programs. */
export function recipeSchema(): Record<string, unknown> {
  return { title: 'Condense recipe', ...z.toJSONSchema(recipeOptions, { io: 'input' }) }
}
