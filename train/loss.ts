// What a loss is: its options as a schema, what it compares with, and how it is written into the training graph.
import { z } from 'zod'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { connectorOptions } from './connectors.ts'
import type { LossContext } from './loss-context.ts'
import { scheduled } from './scheduled.ts'
import { tapPairs, tapsOfStudent } from './taps.ts'

/**
 * What a loss compares the outputs with: what must be there besides the model's own inputs.
 *
 * `labels` and `values` are targets of the data, `teacher` is what the teacher answers (`all outputs`: not the first
 * alone), `teacher gradient` the gradient of that answer by the input, `input` the model's own input, `peers` the
 * answers of models that learn at the same time. What taps name is not listed here.
 */
export type Reference =
  | 'labels'
  | 'values'
  | 'teacher'
  | 'all outputs'
  | 'teacher gradient'
  | 'input'
  | 'peers'

/**
 * What `taps: auto` names: the ends of stages, or of the last one alone; scores of attention before its softmax, or
 * behind it, of every block; or what the last block's attention shares out.
 */
export type AutoTaps = 'ends' | 'last end' | 'attention scores' | 'attention' | 'attention values'

/** A loss: the mean over the batch as a scalar. */
export interface Loss<Options extends z.ZodObject = z.ZodObject> {
  readonly options: Options
  /** What must be there; of some losses their options decide. */
  readonly comparesWith:
    | readonly Reference[]
    | ((options: z.output<Options>) => readonly Reference[])
  /** True where it compares what went into a closing Sigmoid; `group` consecutive samples belong together. */
  readonly binary?: (group: number) => boolean
  /** What its taps are where they are left open: the ends of stages unless told. */
  readonly auto?: (options: z.output<Options>) => AutoTaps
  /** Appends the loss, unweighted, to the graph; its value is a float32 scalar. */
  readonly write: (
    g: Builder,
    context: LossContext,
    options: z.output<Options>,
  ) => Value | Promise<Value>
}

/** The identity; it exists so that `write` sees the type of its options. */
export const defineLoss = <Options extends z.ZodObject>(loss: Loss<Options>): Loss<Options> => loss

/** The option that every loss has. */
export const weight = scheduled(z.number().min(0))
  .default(1)
  .describe('Weight of this term; a number, or a way from one to another.')

/** The option of losses that soften what they compare. */
export const temperature = scheduled(z.number().positive())

/** The options of losses on tapped values of teacher and student. */
export const pairOptions = {
  weight,
  taps: tapPairs,
  connector: connectorOptions,
} as const

/** The options of losses on tapped values of the student alone. */
export const ownOptions = { weight, taps: tapsOfStudent } as const
