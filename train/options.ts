// The options of training, as recipes spell them. One schema each for types, validation, defaults and documentation.
import { z } from 'zod'

const rate = z.number().positive()

/** An optimizer with its own options. */
export const optimizerOptions = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('sgd').describe('Stochastic gradient descent with momentum.'),
    rate: rate.default(0.1).describe('Peak learning rate.'),
    momentum: z.number().min(0).lt(1).default(0.9).describe('Momentum, 0 for none.'),
    nesterov: z.boolean().default(false).describe("Nesterov's form of the momentum."),
    weightDecay: z
      .number()
      .min(0)
      .default(5e-4)
      .describe('L2 decay; norms and biases are left alone.'),
  }),
  z.strictObject({
    name: z.literal('adamw').describe('Adam with decoupled weight decay.'),
    rate: rate.default(1e-3).describe('Peak learning rate.'),
    betas: z
      .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
      .default([0.9, 0.999])
      .describe('Decay of the first and second moment.'),
    epsilon: z
      .number()
      .positive()
      .default(1e-8)
      .describe('Added to the root of the second moment.'),
    weightDecay: z
      .number()
      .min(0)
      .default(0.01)
      .describe('Decoupled decay; norms and biases are left alone.'),
  }),
])

const warmup = z
  .number()
  .min(0)
  .max(1)
  .default(0)
  .describe('Share of all steps with a linear warm-up, 0..1.')

/** A learning rate schedule: its name, or its name with its own options. */
export const scheduleOptions = z
  .union([
    z.enum(['constant', 'step', 'cosine']),
    z.discriminatedUnion('name', [
      z.strictObject({ name: z.literal('constant').describe('The same rate throughout.'), warmup }),
      z.strictObject({
        name: z.literal('step').describe('Drops by a factor every so often.'),
        warmup,
        every: z
          .number()
          .gt(0)
          .max(1)
          .default(0.33)
          .describe('Share of all steps between two drops.'),
        factor: z.number().gt(0).lt(1).default(0.1).describe('What the rate is multiplied with.'),
      }),
      z.strictObject({
        name: z.literal('cosine').describe('Falls along half a cosine.'),
        warmup,
        final: z.number().min(0).max(1).default(0).describe('Final rate as a share of the peak.'),
      }),
    ]),
  ])
  .describe('Learning rate over time.')

/** One term of the loss. */
export const lossOptions = z.discriminatedUnion('loss', [
  z.strictObject({
    loss: z.literal('cross-entropy').describe('Cross-entropy with the labels.'),
    weight: z.number().min(0).default(1).describe('Weight of this term.'),
    labelSmoothing: z.number().min(0).lt(1).default(0).describe('Share spread over all classes.'),
  }),
  z.strictObject({
    loss: z.literal('kl').describe("KL divergence from the teacher's softened outputs, times T²."),
    weight: z.number().min(0).default(1).describe('Weight of this term.'),
    temperature: z.number().positive().default(4).describe('Temperature T of both softmaxes.'),
  }),
  z.strictObject({
    loss: z.literal('mse').describe("Mean squared error to the teacher's outputs."),
    weight: z.number().min(0).default(1).describe('Weight of this term.'),
  }),
])

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
} as const

/** An optimizer, resolved. */
export type OptimizerOptions = z.output<typeof optimizerOptions>
/** A schedule, resolved. */
export type ScheduleOptions = z.output<typeof scheduleOptions>
/** A term of the loss, resolved. */
export type LossOptions = z.output<typeof lossOptions>
/** The common options of training, resolved. */
export interface TrainingOptions {
  readonly epochs: number
  readonly batch: number
  readonly optimizer: OptimizerOptions
  readonly schedule: ScheduleOptions
  readonly clip?: number | undefined
  readonly freeze: readonly string[]
}
