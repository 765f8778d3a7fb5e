// The schema of suites: which recipes run every night, what of them is watched, and what counts as a change.
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, extname, resolve } from 'node:path'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { explainFileError } from '../../base/files.ts'
import { validated } from '../problems.ts'
import { parseYaml } from '../read-recipe.ts'
import { folderName } from '../recipe.ts'
import { type MeasureName, measureNames, usualMeasures } from './measures.ts'

const measureList = z.array(z.enum(measureNames as [MeasureName, ...MeasureName[]])).min(1)

const text = z.string().min(1)

const entryOptions = z
  .strictObject({
    recipe: text.describe('The file of the recipe, relative to the suite.'),
    id: folderName
      .optional()
      .describe("What the history calls it; the file's name and the profile unless given."),
    profile: text.optional().describe('The profile of the recipe that is chosen.'),
    set: z
      .array(text)
      .default([])
      .describe("Overrides, as '--set' has them: [seed=3, stages.0.epochs=1]."),
    variants: z
      .array(text)
      .min(1)
      .optional()
      .describe(
        "Ids of the variants that are watched, 'teacher' for the teacher; all unless given.",
      ),
    measures: measureList
      .optional()
      .describe("What is watched of this recipe; the suite's measures unless given."),
  })
  .describe('A recipe that runs every night.')

/** Schema of a suite. */
export const suiteOptions = z
  .strictObject({
    $schema: z.string().optional().describe('Where editors find the schema of suites.'),
    name: folderName.describe('Name of the suite; its nights are compared with each other.'),
    folder: text
      .default('nightly')
      .describe("Where the history and the nights' reports are kept, relative to the suite."),
    recipes: z.array(entryOptions).min(1).describe('What runs, in this order.'),
    measures: measureList.default([...usualMeasures]).describe('What is watched of each variant.'),
    baseline: z
      .strictObject({
        nights: z
          .int()
          .min(3)
          .max(1000)
          .default(30)
          .describe('Good nights that tonight is compared with, at most.'),
        least: z
          .int()
          .min(3)
          .default(7)
          .describe('Good nights before latencies and memory are judged at all.'),
      })
      .refine(({ nights, least }) => least <= nights, {
        path: ['least'],
        error: "more than 'nights', so nothing would ever be judged",
      })
      .prefault({})
      .describe('What tonight is compared with.'),
    thresholds: z
      .strictObject({
        falseAlarms: z
          .number()
          .gt(0)
          .max(0.5)
          .default(0.01)
          .describe(
            'Share of unchanged nights on which noise may raise an alarm, over all measures.',
          ),
        accuracy: z
          .number()
          .min(0)
          .max(1)
          .default(0)
          .describe('Smallest difference of accuracy or agreement that matters.'),
        latency: z
          .number()
          .min(0)
          .default(0.05)
          .describe('Smallest relative difference of latency or memory that matters.'),
        size: z
          .number()
          .min(0)
          .default(0.001)
          .describe('Smallest relative difference of sizes that matters.'),
      })
      .prefault({})
      .describe('What counts as a change.'),
    keepModels: z
      .boolean()
      .default(false)
      .describe("Keep every night's ONNX files, not its reports alone."),
  })
  .describe('A suite of recipes for every night.')

/** What counts as a change. */
export type Thresholds = z.output<typeof suiteOptions>['thresholds']

/** A recipe of a suite, everything explicit. */
export interface Entry {
  readonly id: string
  /** Absolute. */
  readonly recipe: string
  readonly profile: string | undefined
  readonly set: readonly string[]
  /** Undefined for all. */
  readonly variants: readonly string[] | undefined
  readonly measures: readonly MeasureName[]
}

/** A suite with every default made explicit and paths made absolute. */
export interface Suite {
  readonly name: string
  readonly folder: string
  readonly recipes: readonly Entry[]
  readonly baseline: { readonly nights: number; readonly least: number }
  readonly thresholds: Thresholds
  readonly keepModels: boolean
}

/** Reads a suite; anything wrong with it, but what is in its recipes, is a {@link UserError} of one line. */
export function readSuite(path: string): Suite {
  let written: string
  try {
    written = readFileSync(path, 'utf8')
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
  return parseSuite(written, path)
}

/** Reads a suite from YAML or JSON text; see {@link readSuite}. */
export function parseSuite(written: string, path: string): Suite {
  const suite = validated(suiteOptions, parseYaml(written, path), path)
  const near = (file: string) => resolve(dirname(path), file)
  const recipes = suite.recipes.map((entry, index): Entry => {
    const recipe = near(entry.recipe)
    if (!existsSync(recipe))
      throw new UserError(
        `${path}: recipes.${index}.recipe: no such file: '${entry.recipe}' — paths are relative to the suite`,
      )
    return {
      id: entry.id ?? usualId(entry),
      recipe,
      profile: entry.profile,
      set: entry.set,
      variants: entry.variants,
      measures: entry.measures ?? suite.measures,
    }
  })
  for (const [index, { id }] of recipes.entries())
    if (recipes.findIndex((other) => other.id === id) !== index)
      throw new UserError(
        `${path}: recipes.${index}.id: two recipes have this id: '${id}' — give them different ones`,
      )
  const { name, baseline, thresholds, keepModels } = suite
  return { name, folder: near(suite.folder), recipes, baseline, thresholds, keepModels }
}

/** The file's name, with the profile where there is one; it becomes a folder. */
function usualId({ recipe, profile }: { recipe: string; profile?: string | undefined }): string {
  const name = basename(recipe, extname(recipe)) + (profile === undefined ? '' : `-${profile}`)
  return name
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]/, 'x')
    .slice(0, 100)
}

/** The JSON Schema of suites, for editors. */
export const suiteSchema = (): Record<string, unknown> => ({
  title: 'Condense nightly suite',
  ...z.toJSONSchema(suiteOptions, { io: 'input' }),
})
