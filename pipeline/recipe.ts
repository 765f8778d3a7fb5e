// The schema of recipes. Every option is documented here, or where the part that it belongs to lives, once, by
// `.describe`.
import { z } from 'zod'
import { defaultLatency } from '../benchmarks/latency.ts'
import { dataOptions } from '../data/sources.ts'
import { modelSource } from '../models/source.ts'
import { type ProviderName, providerNames } from '../runtime/providers.ts'
import { stages } from '../stages/index.ts'
import type { Stage } from '../stages/stage.ts'
import { gatesOptions } from './gates.ts'
import { samplesOption } from './samples.ts'
import { settingOptions } from './setting.ts'

const provider = z.enum(providerNames as [ProviderName, ...ProviderName[]])

/** Names become folders, so they may hold nothing that leads elsewhere. */
export const folderName = z
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

/** Schema of one step: a stage's options and its place. */
export const stepOptions = z
  .discriminatedUnion('stage', [
    placed(stages.train),
    placed(stages.distill),
    placed(stages.prune),
    placed(stages.factorize),
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
      .describe(
        'Time for each model, provider and number of threads with batches of 1, s; half of it for larger ones.',
      ),
  })
  .describe('How latency is measured.')

const knowledgeOptions = z
  .union([
    z.literal(false),
    z.strictObject({
      samples: z
        .int()
        .min(8)
        .optional()
        .describe(
          'Test samples, evenly spread, for what needs more than the predictions; 256 unless given, fewer for teachers of more than 100 million MACs.',
        ),
    }),
  ])
  .describe(
    "How what is left of the teacher's knowledge is measured: likeness inside, robustness, saliency; false for not at all.",
  )

/** Schema of a recipe. */
export const recipeOptions = z
  .strictObject({
    $schema: z.string().optional().describe('Where editors find the schema of recipes.'),
    name: folderName.describe('Name of the run and of its folder.'),
    seed: z.int().min(0).default(0).describe('Decides everything that is random.'),
    provider: provider.default('cpu').describe('Where training and teacher inference run.'),
    ...settingOptions,
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
    stages: z.array(stepOptions).default([]).describe('What is done, in order.'),
    benchmark: z
      .strictObject({
        providers: z
          .array(provider)
          .min(1)
          .default(['cpu'])
          .describe('Execution providers that every variant is measured on.'),
        latency: latencyOptions.prefault({}),
        knowledge: knowledgeOptions.prefault({}),
        samples: samplesOption,
        gates: gatesOptions.optional(),
      })
      .prefault({})
      .describe('What is measured of every variant.'),
    profiles: z
      .record(
        folderName,
        z.record(
          z.string(),
          z.unknown().describe('The value of the option at this path; null takes it away.'),
        ),
      )
      .optional()
      .describe(
        "Changes by name, of which '--profile' chooses one: { quick: { 'teacher.train.epochs': 1 } }.",
      ),
  })
  .describe('A Condense recipe.')

/** A recipe as it is written. */
export type RecipeInput = z.input<typeof recipeOptions>

/** A step of a recipe with every default made explicit. */
export type Step = z.output<typeof stepOptions> & { readonly id: string; readonly from: string }

/** A recipe with every default made explicit. */
export type Recipe = Omit<z.output<typeof recipeOptions>, 'stages' | '$schema' | 'profiles'> & {
  readonly stages: readonly Step[]
}

/** What the teacher is called among the variants. */
export const teacherId = 'teacher'
