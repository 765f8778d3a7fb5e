// Recovery without training or labels: what can be set right by looking at some samples.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Dataset } from '../data/dataset.ts'
import type { Model } from '../onnx/graph.ts'
import type { KeptChannels } from './kept-channels.ts'
import { estimateNormalizations } from './recalibrate/batch-normalization.ts'
import { correctBiases } from './recalibrate/bias.ts'
import type { StageContext } from './stage.ts'

/** What is set right, and by what. */
export interface Recalibration {
  /** A copy of a model that is to be changed, as it is before. */
  readonly model: Model
  /** What its layers gave before they were cut: layers go by the names of their outputs. */
  readonly original: Model
  /** Which channels of the original are left, where some are not. */
  readonly kept: KeptChannels
  readonly calibration: Dataset
  /** How many samples of these are looked at, at most. */
  readonly samples: number
}

/** A model that was set right, and what was done as half a sentence. */
export interface Recalibrated {
  readonly model: Model
  readonly summary: string
}

/** The methods by name, in the order in which they go: statistics change what biases have to make up for. */
export const recalibrations = {
  'batch-normalization': estimateNormalizations,
  bias: correctBiases,
} as const satisfies Record<
  string,
  (task: Recalibration, context: StageContext) => Promise<Recalibrated>
>

/** The name of a method. */
export type RecalibrationName = keyof typeof recalibrations

const names = Object.keys(recalibrations) as [RecalibrationName, ...RecalibrationName[]]

/** Options of a recalibration, a part of the options of stages that cut. */
export const recalibrateOptions = z
  .strictObject({
    methods: z
      .array(z.enum(names))
      .min(1)
      .default(names)
      .describe(
        "batch-normalization: takes running statistics anew; bias: brings the mean of each layer's output back by its bias.",
      ),
    samples: z
      .int()
      .min(1)
      .default(512)
      .describe('Calibration samples that are looked at; their labels are not.'),
  })
  .describe('What is set right after the cut, and before recovery, without training or labels.')

/** The options, resolved. */
export type RecalibrateOptions = z.output<typeof recalibrateOptions>

/**
 * Sets statistics and biases of a cut model right by samples; the given models are not changed.
 *
 * `kept` says which channels of the original's values are left (see `keptChannels`); layers whose outputs have another
 * size than the original's and are not named there are left alone, and so are those that the original does not have.
 */
export async function recalibrate(
  model: Model,
  original: Model,
  { methods, samples }: RecalibrateOptions,
  context: StageContext,
  kept: KeptChannels = new Map(),
): Promise<Recalibrated> {
  const { calibration } = context.data ?? {}
  if (!calibration || calibration.size === 0)
    throw new UserError(
      'recalibrate: needs calibration samples: there are none — name a data set, or leave it out',
    )
  const summaries: string[] = []
  let current = model
  for (const name of names.filter((each) => methods.includes(each))) {
    const task = { model: current, original, kept, calibration, samples }
    const done = await recalibrations[name](task, context)
    current = done.model
    summaries.push(done.summary)
  }
  return { model: current, summary: summaries.join(', ') }
}
