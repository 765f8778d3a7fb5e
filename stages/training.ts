// What the stages that train have in common: batches from the data, the teacher's answers, the loop.
import { join } from 'node:path'
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { makeFolder } from '../base/files.ts'
import { augmentOptions, changesSamples } from '../data/augment.ts'
import { batchCount } from '../data/batches.ts'
import type { Batch, Dataset, Splits } from '../data/dataset.ts'
import { openBatches } from '../data/stream.ts'
import type { Model } from '../onnx/graph.ts'
import { predict } from '../runtime/predict.ts'
import { train } from '../train/loop.ts'
import { needsTeacher } from '../train/losses.ts'
import { type LossOptions, lossOptions, trainingOptions } from '../train/options.ts'
import type { TrainingBatch, TrainSettings } from '../train/settings.ts'
import type { Artifact, StageContext } from './stage.ts'
import { cachedLogits, onlineLogits } from './teacher.ts'

/** Options that every stage with a training has. */
export const stageTrainingOptions = {
  ...trainingOptions,
  augment: augmentOptions.optional().describe('Random changes to the training samples.'),
} as const

/** The options of a training, resolved. */
export type StageTraining = z.output<z.ZodObject<typeof stageTrainingOptions>>

/** A list of losses as an option. */
export const lossList = z.array(lossOptions).min(1)

/** Distillation as Hinton et al. (2015) recommend it: mostly the teacher, some labels. */
export const distillationLosses: readonly LossOptions[] = [
  { loss: 'kl', temperature: 4, weight: 0.9 },
  { loss: 'cross-entropy', weight: 0.1, labelSmoothing: 0 },
]

/** The data of a stage that cannot do without. */
export function requiredData({ data }: StageContext): Splits {
  if (!data) throw new UserError('training needs data: there is none — name a data set')
  return data
}

/** Trains a model on the training split and keeps the epoch that is best on the validation split. */
export async function trainModel(
  model: Model,
  options: StageTraining,
  losses: readonly LossOptions[],
  context: StageContext,
  masks?: ReadonlyMap<string, Float32Array>,
): Promise<Artifact> {
  const data = requiredData(context)
  const { seed, folder } = context
  const { augment } = options
  const size = Math.min(options.batch, data.train.size)
  makeFolder(folder)
  const batches = openBatches(data.train, { size, seed, shuffle: true, augment, dropLast: true })
  const taught = needsTeacher(losses)
  // What changes each time, by itself or by mixing, the teacher must be asked about each time.
  const online =
    taught && changesSamples(augment) ? await onlineLogits(data.train, context) : undefined
  const teacher = online?.logits ?? (taught ? await cachedLogits(data.train, context) : undefined)
  const settings: TrainSettings = {
    options: { ...options, batch: size },
    losses,
    classes: data.train.classes.length,
    classWeights: classWeightsOf(options.classWeights, data.train),
    batches: (epoch, from) => trainingBatches(batches.epoch(epoch, from)),
    stepsPerEpoch: batchCount(data.train.size, { size, dropLast: true }),
    sample: data.train.shape,
    validate: (trained) => accuracyOf(trained, data.validation, context),
    teacher,
    masks,
    sharesCores: online !== undefined,
    checkpoint: join(folder, 'checkpoint'),
    checkpointDue: () => context.checkpointDue(),
    seed,
    threads: context.threads,
    provider: context.provider,
    signal: context.signal,
    log: (message) => context.log(message),
    progress: ({ score, ...progress }) =>
      context.progress({ ...progress, ...(score === undefined ? {} : { accuracy: score }) }),
  }
  try {
    const { model: trained, epochs, bestEpoch } = await train(model, settings)
    const best = epochs[bestEpoch - 1]!
    const accuracy = (best.score * 100).toFixed(2)
    return {
      model: trained,
      facts: {
        losses,
        epochs,
        summary: `trained ${epochs.length} epochs, best ${bestEpoch}: ${accuracy} % of the validation samples right`,
      },
    }
  } finally {
    await batches.close()
    await online?.session.dispose()
  }
}

/** Batches of a data set as a training takes them. */
export async function* trainingBatches(
  batches: Iterable<Batch> | AsyncIterable<Batch>,
): AsyncGenerator<TrainingBatch, void, void> {
  for await (const batch of batches) yield { ...batch, inputs: [batch.inputs] }
}

/** The share of samples whose largest output is at their label, 0..1. */
async function accuracyOf(
  model: Model,
  samples: Dataset,
  { threads, provider, signal }: StageContext,
): Promise<number> {
  const { outputs, width } = await predict(model, samples, { threads, provider, signal })
  let right = 0
  for (const [row, label] of samples.labels.entries())
    if (largest(outputs, row * width, width) === label) right++
  return right / samples.size
}

/** The position of the largest of `width` values from `start` on. */
function largest(values: Float32Array, start: number, width: number): number {
  let best = 0
  for (let index = 1; index < width; index++)
    if (values[start + index]! > values[start + best]!) best = index
  return best
}

/** How much each class counts: as given, or such that every class counts alike over all samples. */
function classWeightsOf(
  given: StageTraining['classWeights'],
  { labels, classes, source }: Dataset,
): readonly number[] | undefined {
  if (given === undefined) return undefined
  if (given !== 'balanced') {
    if (given.length !== classes.length)
      throw new UserError(
        `classWeights: needs one number a class: ${given.length} for ${classes.length} classes of ${source} — give ${classes.length}, or 'balanced'`,
      )
    return given
  }
  const counts = new Array<number>(classes.length).fill(0)
  for (const label of labels) counts[label]!++
  return counts.map((count) => (count === 0 ? 0 : labels.length / (classes.length * count)))
}
