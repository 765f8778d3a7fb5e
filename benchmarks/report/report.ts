// The shape of report.json, the contract that other programs read (version 1).
// Fields may be added, never removed. Sizes are in bytes, times in ms, ratios in 0..1 unless said otherwise.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'

const count = z.int().min(0)
const share = z.number().min(0).max(1)
const positive = z.number().positive()
const atLeast0 = z.number().min(0)
const interval = z.tuple([z.number(), z.number()])

const ratioSchema = z.object({
  value: positive.describe('A time over that of another model; below 1 is faster.'),
  interval: interval.describe('95 % interval of the ratio, by bootstrap over pairs of rounds.'),
  rounds: count.optional().describe('Pairs of rounds behind the interval; few cannot tell.'),
})

const measurementSchema = z.object({
  batch: z.int().min(1).describe('Samples in one run.'),
  threads: count.describe('Threads of the session; 0 where the provider decides.'),
  runs: z.int().min(1).describe('Timed runs, without the warm-up.'),
  p50Ms: positive.describe('Median time of one run, ms.'),
  p90Ms: positive.describe('90th percentile of the time of one run, ms.'),
  p99Ms: positive.describe('99th percentile of the time of one run, ms.'),
  p999Ms: positive.optional().describe('99.9th percentile, ms; absent for fewer than 1,000 runs.'),
  meanMs: positive.optional().describe('Mean time of one run, outliers and all, ms.'),
  deviationMs: atLeast0.optional().describe('Standard deviation of the time of one run, ms.'),
  throughput: positive.describe('Samples per second at the median.'),
  latencyRatio: ratioSchema.optional().describe("The median over the teacher's, rounds in pairs."),
  timeInModel: share
    .optional()
    .describe('Of the time that timing took, warm-up included, the share in which the model ran.'),
})

const providerResultSchema = z.object({
  available: z.boolean().describe('Whether the variant ran on this provider.'),
  reason: z.string().optional().describe('Why it did not run; present where it did not.'),
  software: z.boolean().optional().describe('The GPU is emulated: its latency means nothing.'),
  detail: z.string().optional().describe('What did the work: browser, device, kind of build.'),
  agreementWithCpu: share
    .nullish()
    .describe(
      'How alike the decisions of this provider and of the CPU are (of classifiers: share).',
    ),
  agreementSamples: count.nullish().describe('Test samples that agreementWithCpu comes from.'),
  nodesOnProvider: count.nullish().describe('Nodes that this provider itself ran.'),
  nodesElsewhere: count.nullish().describe('Nodes that fell back to another provider.'),
  peakMemoryBytes: count.nullish().describe('Peak resident memory of the measuring process.'),
  p50Ms: positive.nullish().describe('Headline (batch 1, one thread): median, ms.'),
  p90Ms: positive.nullish().describe('Headline: 90th percentile, ms.'),
  p99Ms: positive.nullish().describe('Headline: 99th percentile, ms.'),
  p999Ms: positive.optional().describe('Headline: 99.9th percentile, ms; needs 1,000 runs.'),
  meanMs: positive.optional().describe('Headline: mean, outliers and all, ms.'),
  deviationMs: atLeast0.optional().describe('Headline: standard deviation, ms.'),
  times: z
    .array(positive)
    .max(101)
    .optional()
    .describe('Headline: times of runs in order, ms: the least, the largest, evenly between.'),
  throughput: positive.nullish().describe('Headline: samples per second.'),
  latencyRatio: ratioSchema
    .nullish()
    .describe('Headline latency relative to the teacher on this provider; below 1 is faster.'),
  sourceRatio: ratioSchema
    .optional()
    .describe('Headline latency relative to the variant that this one was made from.'),
  energyJoules: positive
    .optional()
    .describe('Headline: energy of all processor packages for one run, J; needs a counter.'),
  pinned: count.optional().describe('Headline: the core that the process was kept on, if it was.'),
  noise: z
    .object({
      spread: atLeast0
        .optional()
        .describe('Distance of the quartiles of the medians of rounds over their median.'),
      otherLoad: share
        .optional()
        .describe('Share of the time of all processors that went to other programs.'),
    })
    .optional()
    .describe('Headline: what disturbed the timing.'),
  coldStart: z
    .object({
      starts: z.int().min(1).describe('Fresh sessions in a process that has the runtime loaded.'),
      sessionMs: positive.describe('Median time of creating the session, ms.'),
      firstRunMs: positive.describe('Median time of its first run, batch 1, ms.'),
      ratio: ratioSchema.optional().describe("Both together over the teacher's."),
    })
    .optional()
    .describe('How long the model takes to be ready and to answer for the first time.'),
  measurements: z.array(measurementSchema).optional(),
})

const figures = z.record(z.string(), z.number().nullable())

const accuracySchema = z
  .object({
    metric: z.string().optional().describe("Name of the main figure, as 'r2'; 'top1' if absent."),
    value: z.number().optional().describe('The main figure; larger is better. top1 if absent.'),
    interval: interval.optional().describe('95 % interval of the main figure: Wilson, bootstrap.'),
    metrics: figures.optional().describe('All figures by name; null where one has no value.'),
    perClass: z
      .record(z.string(), share.nullable())
      .optional()
      .describe('Accuracy by class; null where the test split has no sample of the class.'),
    classMetrics: z
      .record(z.string(), figures)
      .optional()
      .describe('Further figures by their name and by class.'),
    top1: share.optional().describe('Share of the test samples classified correctly.'),
    top1Interval: interval.optional().describe('95 % Wilson interval of top1.'),
  })
  .refine(
    ({ value, interval: of, top1, top1Interval }) =>
      (value !== undefined && of !== undefined) ||
      (top1 !== undefined && top1Interval !== undefined),
    'needs a value and its interval',
  )

const retentionSchema = z.object({
  accuracy: z.number().min(0).describe("Main figure over the teacher's; above 1 is better."),
  agreement: share.describe('How alike the decisions are (of classifiers: share of equal ones).'),
  klDivergence: z
    .number()
    .min(0)
    .nullable()
    .describe('Mean KL(teacher ‖ variant) in nats; null where an output is not finite, or none.'),
  perClass: z
    .record(z.string(), z.number().min(0).nullable())
    .describe('Accuracy by class over that of the teacher; null where the teacher has none.'),
  p: share
    .nullish()
    .describe('p of a two-sided test of the difference to the teacher; null where there is none.'),
  mcnemarP: share.optional().describe("p of McNemar's exact two-sided test against the teacher."),
  measures: figures.optional().describe('Further measures of likeness to the teacher by name.'),
})

const shareSchema = z.object({
  value: share.nullable().describe('The share; null where there is no sample.'),
  interval: interval.describe('95 % Wilson interval of the share.'),
  of: count.describe('Samples that it is a share of.'),
})

const knowledgeSchema = z.object({
  samples: count.describe(
    'Evenly spread test samples behind representation, robustness and saliency; the rest has all.',
  ),
  transfer: z
    .object({
      right: shareSchema.describe("Of the teacher's right answers, those that are right here too."),
      wrong: shareSchema.describe("Of the teacher's wrong answers, those that are right here."),
      perClass: z.record(
        z.string(),
        z.object({
          right: share.nullable(),
          rightOf: count,
          wrong: share.nullable(),
          wrongOf: count,
        }),
      ),
    })
    .nullable()
    .describe("The degree to which the teacher's knowledge was transferred, of classifiers."),
  calibration: z
    .object({
      brier: z.number().min(0).describe('Brier score: mean squared error of probabilities, 0..2.'),
      bins: z
        .array(
          z.object({
            count: count.describe('Samples.'),
            confidence: z.number().nullable().describe('Mean probability of the decision.'),
            accuracy: share.nullable().describe('Share of right decisions.'),
          }),
        )
        .describe('Reliability: equally wide bins of confidence from 0 to 1.'),
    })
    .nullable()
    .describe('Whether the confidence can be believed, of classifiers.'),
  representation: z
    .array(
      z.object({
        what: z.string().describe("'features', 'outputs', or the name of the tapped value."),
        cka: z.number().min(-1).max(1).describe('Linear CKA without bias, 1 for equal.'),
      }),
    )
    .nullable()
    .describe('How alike values inside the variant and the teacher are.'),
  robustness: z
    .record(
      z.string(),
      z
        .array(
          z.object({
            strength: z.number().describe('What it is relative to is in the documentation.'),
            value: z.number().describe('Main figure on the changed samples.'),
            agreement: share.describe('With the teacher on samples changed in the same way.'),
            ratio: z.number().min(0).nullable().describe("Main figure over the teacher's there."),
            interval: interval.nullable().describe('95 % interval of the ratio, of classifiers.'),
          }),
        )
        .nullable(),
    )
    .describe('By the kind of change, weakest first; null where it was not measured.'),
  saliency: z
    .object({
      cosine: z.number().min(-1).max(1).describe('Mean cosine of the input gradients.'),
      overlap: share.describe('Mean overlap of the tenth of cells with the largest gradients.'),
    })
    .nullable()
    .describe("How alike the gradients of the largest logits by the input are to the teacher's."),
  reasons: z.record(z.string(), z.string()).describe('Why something is null, by its name.'),
})

const epochSchema = z.object({
  epoch: z.int().min(1).describe('Counted from 1.'),
  loss: z.number().describe('Mean training loss; comparable within one stage only.'),
  terms: z
    .array(z.number())
    .optional()
    .describe('Mean of each weighted term of the loss, in the order of the losses.'),
  trainAccuracy: z.number().nullish().describe('Main figure on the training batches.'),
  validationAccuracy: z.number().nullish().describe('Main figure on the validation split.'),
  seconds: z.number().min(0).describe('Time of the epoch, s.'),
})

const confusionSchema = z.object({
  actual: z.string().describe('The class of the samples.'),
  answer: z.string().describe('The class that they are taken for.'),
  count: count.describe('Test samples of which that is so.'),
  teacher: count.describe('Those of which the teacher says it.'),
})

const answerSchema = z.object({
  answer: z.string().nullable().describe('The class; null where the output is not finite.'),
  confidence: share.nullable().describe('Its probability.'),
})

const base64 = (type: string) =>
  z
    .string()
    .max(500_000)
    .regex(new RegExp(`^data:${type};base64,[A-Za-z0-9+/]+=*$`), 'expected a data: address')

const forgottenSampleSchema = z.object({
  index: count.describe('Its number in the test split, from 0.'),
  actual: z.string().describe('Its class.'),
  teacher: answerSchema,
  answers: z
    .array(answerSchema.extend({ variant: z.string().describe('The id of the variant.') }))
    .describe('The wrong answers.'),
  texts: z.array(z.string()).optional().describe('Its texts, cut.'),
  image: z
    .object({
      source: base64('image/(png|jpeg)'),
      width: z.int().min(1).max(4096),
      height: z.int().min(1).max(4096),
    })
    .optional()
    .describe('Its picture before preprocessing, made small.'),
  sound: z
    .object({
      source: base64('audio/wav').optional().describe('Its first two seconds.'),
      seconds: positive,
      peaks: z.array(share).max(1000).describe('The loudness of equal parts.'),
    })
    .optional(),
})

const rivalSchema = z.object({
  difference: z.number().describe("Main figure minus the other's; above 0 is better."),
  p: share.nullable().describe('p of a paired two-sided test of the difference; null for none.'),
  agreement: share.describe('How alike the decisions are (of classifiers: share of equal ones).'),
  klDivergence: z.number().min(0).nullable().describe('Mean KL(other ‖ variant) in nats.'),
})

const layerRowSchema = z.object({
  name: z.string().describe('The node as ONNX Runtime ran it, after its own rewriting.'),
  operator: z.string(),
  layers: z.array(z.string()).describe('The nodes of the file that became it.'),
  carriers: count
    .optional()
    .describe('So many of them, the last ones, only carry numbers: Cast, DequantizeLinear, ….'),
  ran: z.string().describe('The provider that ran it, by its own name.'),
  outputShape: z.array(count).nullable().describe('Of the first output, in the layout of the run.'),
  weightBytes: count.describe('All constants that it reads, as they lie in the file.'),
  parameters: count.describe('Numbers in the weights.'),
  macs: count.nullable().describe('Multiply-accumulates of one sample; null where unknown.'),
  bits: z
    .number()
    .min(0)
    .nullable()
    .describe('Bits that the file spends on a number of the largest weight; null for none.'),
  sparsity: share.nullable().describe('Share of the weights that are zero; null for none.'),
  share: share.describe('Of the time of a run.'),
  ms: z.number().min(0).describe('Median of its own time in a run.'),
  spreadMs: interval.describe('The middle half of these times.'),
  sqnrDb: z
    .union([z.number(), z.literal('exact')])
    .nullable()
    .describe(
      "Signal over noise of what it gives against the teacher's; null where none is like it.",
    ),
  against: z.string().nullable().describe("The teacher's value that it was compared with."),
})

const layerTableSchema = z.object({
  provider: z.string(),
  threads: count,
  batch: z.int().min(1),
  runs: count.describe('Profiled runs, without the warm-up.'),
  totalMs: z.number().min(0).describe('Medians of all parts of a profiled run together.'),
  clock: z
    .enum(['processor', 'device'])
    .describe('Who timed the nodes; the processor of a GPU notes how long handing work over took.'),
  random: z.boolean().describe('True where the inputs were made up.'),
  copying: share.describe('Of the time, in copies between devices.'),
  overhead: share.describe('Of the time, around the nodes; noting their times too.'),
  rows: z.array(layerRowSchema).describe('Costliest first.'),
  others: z
    .object({ count, weightBytes: count, macs: count.nullable(), share })
    .nullable()
    .describe('The sum of the nodes that have no row; null where all have one.'),
})

const variantSchema = z.object({
  id: z.string().min(1).describe("Unique; 'teacher' for the teacher."),
  label: z.string().optional().describe('What people call it, where the id does not say it.'),
  stage: z.string().describe('The stage that made it.'),
  from: z.string().nullable().describe('The id of the variant it was made from.'),
  stageOptions: z.record(z.string(), z.unknown()).optional().describe('Resolved stage options.'),
  file: z.string().describe('The ONNX file, relative to the report.'),
  failed: z.string().optional().describe('Why the variant is no result; absent where it is one.'),
  sizeBytes: count.describe('The file and its external data, bytes.'),
  gzipBytes: count.describe('The same after gzip, bytes.'),
  brotliBytes: count.optional().describe('The same after Brotli at quality 9, bytes.'),
  parameters: count.describe('Numbers in the weights.'),
  nonzeroParameters: count.describe('Those that are not zero.'),
  macs: count.nullable().describe('Multiply-accumulates of one sample; null where unknown.'),
  bytesMoved: count
    .nullish()
    .describe('Weights and activations that one sample reads and writes, bytes; by shapes.'),
  accuracy: accuracySchema.nullable().describe('On the test split; null where it failed.'),
  retention: retentionSchema.nullable().describe('Against the teacher; null where it failed.'),
  calibrationError: share.nullable().describe('Expected calibration error over 15 bins.'),
  knowledge: knowledgeSchema
    .nullish()
    .describe("What is left of the teacher's knowledge; absent where it was not asked for."),
  training: z
    .object({ epochs: z.array(epochSchema) })
    .optional()
    .describe('The course of the training, where the stage trained.'),
  advice: z
    .array(z.string())
    .optional()
    .describe('What was measured while it was made that one should know, a line each.'),
  against: z
    .record(z.string(), rivalSchema)
    .optional()
    .describe('Compared with other variants on the same samples, by their ids.'),
  layers: layerTableSchema.optional().describe('What each node costs, on the CPU.'),
  forgotten: z
    .object({
      count: count.describe('Test samples that the teacher has right and the variant wrong.'),
      of: count.describe('Test samples that the teacher has right.'),
      confusions: z
        .array(confusionSchema)
        .describe('The wrong answers whose number changed most, most first.'),
    })
    .optional()
    .describe('What classifiers no longer know; absent where it was not looked at.'),
  providers: z.record(z.string(), providerResultSchema),
})

const gateSchema = z.object({
  name: z.string().describe("What is limited, as 'retention' or 'latency.cpu'."),
  variant: z.string().describe('The id of the variant it applies to.'),
  limit: z.string().describe("As the recipe has it: '>= 0.99'."),
  value: z
    .number()
    .nullable()
    .describe('Relative to the teacher, but of accuracy and metrics; null where unmeasured.'),
  passed: z.boolean(),
})

/** Validates the content of a report.json of version 1; unknown fields are let through. */
export const reportSchema = z.object({
  version: z.literal(1),
  name: z.string().min(1).describe('The name of the recipe.'),
  createdAt: z.iso.datetime({ offset: true }),
  seed: z.int(),
  host: z.object({
    cpu: z.string(),
    cores: z.int().min(1),
    memoryBytes: count,
    node: z.string().describe('Version of Node.'),
    onnxruntime: z.string().describe('Version of ONNX Runtime.'),
    condense: z.string().optional().describe('Version of Condense.'),
    system: z.string().optional().describe('Operating system, its release and architecture.'),
    flags: z.array(z.string()).describe('Instruction sets that change speed, as avx2.'),
  }),
  data: z.object({
    source: z.string(),
    train: count.describe('Samples.'),
    validation: count.describe('Samples.'),
    calibration: count.describe('Samples.'),
    test: count.describe('Samples.'),
    fingerprint: z.string().describe('Hash of the data.'),
    random: z
      .boolean()
      .optional()
      .describe('True where the inputs were made up: nothing says how good a model is.'),
  }),
  task: z.string().optional().describe("What was to be done; 'classification' if absent."),
  classes: z.array(z.string()).optional().describe('Names of the classes, in order.'),
  recipe: z.record(z.string(), z.unknown()).optional().describe('The resolved recipe.'),
  teacher: variantSchema,
  variants: z.array(variantSchema),
  pareto: z.array(z.string()).describe('Ids that no variant beats in accuracy and size.'),
  gates: z.array(gateSchema),
  samples: z
    .array(forgottenSampleSchema)
    .optional()
    .describe('Some of the samples that the teacher has right and variants have wrong.'),
  advice: z
    .array(z.string())
    .optional()
    .describe('What comparing the variants with each other shows, a line each.'),
})

// zod infers mutable types; whoever gets a report only reads it.
type DeepReadonly<T> = unknown extends T ? T : { readonly [Key in keyof T]: DeepReadonly<T[Key]> }

/** What a run measured: the content of report.json. */
export type Report = DeepReadonly<z.infer<typeof reportSchema>>
/** The teacher, or what a stage made, with everything measured of it. */
export type Variant = DeepReadonly<z.infer<typeof variantSchema>>
/** What was measured of a variant on one execution provider, or why nothing was. */
export type ProviderResult = DeepReadonly<z.infer<typeof providerResultSchema>>
/** Latency and throughput for one batch size and number of threads. */
export type Measurement = DeepReadonly<z.infer<typeof measurementSchema>>
/** A limit of the recipe, and whether it was kept. */
export type Gate = DeepReadonly<z.infer<typeof gateSchema>>
/** How a variant compares with another one on the same samples. */
export type Rival = DeepReadonly<z.infer<typeof rivalSchema>>
/** What each node of a model costs, and what compression did to it. */
export type LayerTable = DeepReadonly<z.infer<typeof layerTableSchema>>
/** One node of a layer table. */
export type LayerRow = DeepReadonly<z.infer<typeof layerRowSchema>>
/** A test sample that the teacher has right and variants have wrong. */
export type ForgottenSample = DeepReadonly<z.infer<typeof forgottenSampleSchema>>
/** What a classifier says of a sample. */
export type Answer = DeepReadonly<z.infer<typeof answerSchema>>
/** One epoch of a training. */
export type TrainingEpoch = DeepReadonly<z.infer<typeof epochSchema>>
/** The quality of a variant on the test split. */
export type Accuracy = DeepReadonly<z.infer<typeof accuracySchema>>
/** How much of the teacher's behaviour is left. */
export type Retention = DeepReadonly<z.infer<typeof retentionSchema>>
/** What is left of the teacher's knowledge. */
export type Knowledge = DeepReadonly<z.infer<typeof knowledgeSchema>>

/**
 * Returns the value as a report if it keeps the contract, with fields that this version does not know.
 *
 * A violation, also of what joins the parts (unique ids, `from`, `pareto` and gates that name variants), is a
 * {@link UserError}; `where` names the file.
 */
export function checkReport(value: unknown, where = 'report.json'): Report {
  refuseOtherVersions(value, where)
  const parsed = reportSchema.safeParse(value)
  const problem = parsed.success
    ? danglingReference(parsed.data)
    : `${pathOf(parsed.error.issues[0]!.path)}: ${parsed.error.issues[0]!.message}`
  if (problem !== undefined) {
    throw new UserError(
      `${where}: not a report of version 1: ${oneLine(problem)} — write it with 'condense run'`,
    )
  }
  return value as Report // just validated; the parsed copy would lack the unknown fields
}

/** What another version wrote has other fields, of which no list of complaints would help. */
function refuseOtherVersions(value: unknown, where: string): void {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  const version = isObject ? (value as { version?: unknown }).version : undefined
  if (version === 1) return
  if (typeof version !== 'number')
    throw new UserError(
      `${where}: not a report: it states no version — give the report.json that 'condense run' or 'condense bench' wrote`,
    )
  const advice = version > 1 ? 'read it with a newer Condense' : 'run the recipe again'
  throw new UserError(
    `${where}: a report of version ${version}, this Condense knows version 1 — ${advice}`,
  )
}

function danglingReference(report: Report): string | undefined {
  const all = [report.teacher, ...report.variants]
  const ids = new Set(all.map(({ id }) => id))
  const twice = all.find(({ id }, index) => all.findIndex((other) => other.id === id) !== index)
  if (twice) return `variants: two have the id '${twice.id}'`
  const named = [
    ...all.map(({ id, from }) => ({ at: `variant '${id}'.from`, id: from })),
    ...report.gates.map(({ variant, name }) => ({ at: `gate '${name}'.variant`, id: variant })),
    ...(report.samples ?? []).flatMap(({ index, answers }) =>
      answers.map(({ variant }) => ({ at: `samples: ${index}`, id: variant })),
    ),
    ...report.pareto.map((id) => ({ at: 'pareto', id })),
  ]
  const stray = named.find(({ id }) => id !== null && !ids.has(id))
  return stray && `${stray.at}: no variant has the id '${stray.id}'`
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ')

const pathOf = (path: readonly PropertyKey[]): string =>
  path.length === 0
    ? 'top level'
    : path
        .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
        .join('')
        .replace(/^\./, '')
