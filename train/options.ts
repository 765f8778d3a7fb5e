// The options of training, as recipes spell them. One schema each for types, validation, defaults and documentation.
import { z } from 'zod'
import { type PenaltyOptions, penaltyOptions } from './penalties.ts'

const rate = z.number().positive()
const peak = 'Peak learning rate.'
const momentum = z.number().min(0).lt(1).describe('Momentum, 0 for none.')
const betas = z
  .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
  .default([0.9, 0.999])
  .describe('Decay of the first and second moment.')
const epsilon = z.number().positive()
const lossDecay = z.number().min(0).describe('L2 decay; norms and biases are left alone.')
const decoupledDecay = z
  .number()
  .min(0)
  .describe('Decoupled decay; norms and biases are left alone.')

/** An optimizer with its own options. */
export const optimizerOptions = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('sgd').describe('Stochastic gradient descent with momentum.'),
    rate: rate.default(0.1).describe(peak),
    momentum: momentum.default(0.9),
    nesterov: z.boolean().default(false).describe("Nesterov's form of the momentum."),
    weightDecay: lossDecay.default(5e-4),
  }),
  z.strictObject({
    name: z.literal('adam').describe('Adam.'),
    rate: rate.default(1e-3).describe(peak),
    betas,
    epsilon: epsilon.default(1e-8).describe('Added to the root of the second moment.'),
    weightDecay: lossDecay.default(0),
  }),
  z.strictObject({
    name: z.literal('adamw').describe('Adam with decoupled weight decay.'),
    rate: rate.default(1e-3).describe(peak),
    betas,
    epsilon: epsilon.default(1e-8).describe('Added to the root of the second moment.'),
    weightDecay: decoupledDecay.default(0.01),
  }),
  z.strictObject({
    name: z.literal('rmsprop').describe('Gradients over the root of their mean square.'),
    rate: rate.default(1e-2).describe(peak),
    alpha: z.number().min(0).lt(1).default(0.99).describe('Decay of the mean square.'),
    epsilon: epsilon.default(1e-8).describe('Added to the root of the mean square.'),
    momentum: momentum.default(0),
    centred: z.boolean().default(false).describe('Takes the variance for the mean square.'),
    weightDecay: lossDecay.default(0),
  }),
  z.strictObject({
    name: z.literal('lamb').describe('AdamW with steps in proportion to the norm of each tensor.'),
    rate: rate.default(1e-3).describe(peak),
    betas,
    epsilon: epsilon.default(1e-6).describe('Added to the root of the second moment.'),
    weightDecay: decoupledDecay.default(0.01),
  }),
])

const warmup = z
  .number()
  .min(0)
  .max(1)
  .default(0)
  .describe('Share of all steps with a linear warm-up, 0..1.')
const final = z.number().min(0).max(1).describe('Final rate as a share of the peak.')

const namedSchedule = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('constant').describe('The same rate throughout.'), warmup }),
  z.strictObject({
    name: z.literal('step').describe('Drops by a factor every so often.'),
    warmup,
    every: z.number().gt(0).max(1).default(0.33).describe('Share of all steps between two drops.'),
    factor: z.number().gt(0).lt(1).default(0.1).describe('What the rate is multiplied with.'),
  }),
  z.strictObject({
    name: z.literal('linear').describe('Falls in a line.'),
    warmup,
    final: final.default(0),
  }),
  z.strictObject({
    name: z.literal('polynomial').describe('Falls along a power of what is left to do.'),
    warmup,
    power: z.number().positive().default(2).describe('That power.'),
    final: final.default(0),
  }),
  z.strictObject({
    name: z.literal('exponential').describe('Falls by the same factor with every step.'),
    warmup,
    final: z
      .number()
      .gt(0)
      .max(1)
      .default(0.01)
      .describe('Final rate as a share of the peak, which sets the factor.'),
  }),
  z.strictObject({
    name: z.literal('cosine').describe('Falls along half a cosine.'),
    warmup,
    final: final.default(0),
  }),
  z.strictObject({
    name: z.literal('cosine-restarts').describe('Falls along half a cosine, again and again.'),
    warmup,
    cycles: z.number().int().min(1).max(100).default(3).describe('How many times.'),
    growth: z
      .number()
      .min(1)
      .max(10)
      .default(2)
      .describe('How much longer each time is than the one before.'),
    final: final.default(0).describe('Rate at the end of each time as a share of the peak.'),
  }),
  z.strictObject({
    name: z.literal('one-cycle').describe('Climbs to the peak, then falls far below the start.'),
    warmup: z.number().min(0).max(1).default(0.3).describe('Share of all steps that climb, 0..1.'),
    anneal: z.enum(['cosine', 'linear']).default('cosine').describe('Shape of both slopes.'),
    startDivision: z.number().min(1).default(25).describe('Peak over the rate at the start.'),
    finalDivision: z
      .number()
      .min(1)
      .default(1e4)
      .describe('Rate at the start over the rate at the end.'),
  }),
  z.strictObject({
    name: z.literal('plateau').describe('Drops when the validation score no longer improves.'),
    warmup,
    factor: z.number().gt(0).lt(1).default(0.1).describe('What the rate is multiplied with.'),
    patience: z
      .number()
      .int()
      .min(0)
      .default(2)
      .describe('Epochs without a better score that are borne before a drop.'),
    threshold: z
      .number()
      .min(0)
      .default(1e-4)
      .describe('By how much a score must exceed the best so far to be better.'),
    cooldown: z.number().int().min(0).default(0).describe('Epochs after a drop that do not count.'),
    minimum: z.number().min(0).max(1).default(0).describe('Lowest rate as a share of the peak.'),
  }),
])

/** A schedule with all its options. */
export type NamedSchedule = z.output<typeof namedSchedule>
/** What a schedule is called. */
export type ScheduleName = NamedSchedule['name']

const scheduleNames = [
  'constant',
  'step',
  'linear',
  'polynomial',
  'exponential',
  'cosine',
  'cosine-restarts',
  'one-cycle',
  'plateau',
] as const satisfies readonly ScheduleName[]

/** The schedules that a name alone stands for. */
export const schedulesByName: Readonly<Record<ScheduleName, NamedSchedule>> = Object.fromEntries(
  scheduleNames.map((name) => [name, namedSchedule.parse({ name })]),
  // Every name has been given one, which fromEntries cannot tell the compiler.
) as Record<ScheduleName, NamedSchedule>

/** A learning rate schedule: its name, or its name with its own options. */
export const scheduleOptions = z
  .union([z.enum(scheduleNames), namedSchedule])
  .describe('Learning rate over time.')

/** Options that every training has in common. */
export const trainingOptions = {
  epochs: z.number().int().min(1).default(10).describe('Passes over the training data.'),
  batch: z.number().int().min(1).default(64).describe('Samples a step.'),
  optimizer: optimizerOptions
    .default({ name: 'adamw', rate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0.01 })
    .describe('What turns gradients into updates.'),
  schedule: scheduleOptions.default('cosine'),
  clip: z.number().positive().optional().describe('Largest norm of the whole gradient.'),
  freeze: z
    .array(z.string())
    .default([])
    .describe("Layers whose weights stay: names, globs, 're:…' or 'op:…'."),
  rates: z
    .record(z.string(), rate)
    .default({})
    .describe('Factors of the learning rate by selector of layers.'),
  accumulate: z
    .number()
    .int()
    .min(1)
    .default(1)
    .describe('Batches whose mean gradient makes one update.'),
  average: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('Decay of a moving average of the weights, such as 0.999, which is then the result.'),
  stopAfter: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Epochs without a better validation score after which training ends.'),
  keep: z
    .enum(['best', 'last'])
    .default('best')
    .describe(
      'Which epoch is the result: the one that is best on the validation samples, or the last.',
    ),
  batchNormalization: z
    .enum(['update', 'freeze', 're-estimate'])
    .default('update')
    .describe('What becomes of running statistics; re-estimate: anew from the final weights.'),
  penalties: z
    .array(penaltyOptions)
    .default([])
    .describe('Terms that make weights or whole channels small while the model learns.'),
  classWeights: z
    .union([z.literal('balanced'), z.array(z.number().min(0)).min(2)])
    .optional()
    .describe("Weight of each class in the loss; balanced: one over the class's share."),
  engine: z
    .enum(['onnx', 'tfjs'])
    .default('onnx')
    .describe('What computes the steps: ONNX Runtime, or TensorFlow.js as a check on it.'),
} as const

/** An optimizer, resolved. */
export type OptimizerOptions = z.output<typeof optimizerOptions>
/** A schedule, resolved. */
export type ScheduleOptions = z.output<typeof scheduleOptions>
/** The common options of training, resolved. */
export interface TrainingOptions {
  readonly epochs: number
  readonly batch: number
  readonly optimizer: OptimizerOptions
  readonly schedule: ScheduleOptions
  readonly clip?: number | undefined
  readonly freeze: readonly string[]
  readonly rates?: Readonly<Record<string, number>> | undefined
  readonly accumulate?: number | undefined
  readonly average?: number | undefined
  readonly stopAfter?: number | undefined
  readonly keep?: 'best' | 'last' | undefined
  readonly batchNormalization?: 'update' | 'freeze' | 're-estimate' | undefined
  readonly penalties?: readonly PenaltyOptions[] | undefined
  readonly classWeights?: 'balanced' | readonly number[] | undefined
  readonly engine?: 'onnx' | 'tfjs' | undefined
}
