// What the stages that train have in common: batches from the data, the teacher's answers, the loop.
import { join } from 'node:path'
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { makeFolder } from '../base/files.ts'
import { augmentOptions } from '../data/augment.ts'
import { batchCount, batches } from '../data/batches.ts'
import type { Splits } from '../data/dataset.ts'
import type { Model } from '../onnx/graph.ts'
import { train } from '../train/loop.ts'
import { needsTeacher } from '../train/losses.ts'
import { type LossOptions, lossOptions, trainingOptions } from '../train/options.ts'
import type { TrainSettings } from '../train/settings.ts'
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
  const taught = needsTeacher(losses)
  const online = taught && augment ? await onlineLogits(data.train, context) : undefined
  const teacherLogits =
    online?.logits ?? (taught ? await cachedLogits(data.train, context) : undefined)
  const settings: TrainSettings = {
    options: { ...options, batch: size },
    losses,
    classes: data.train.classes.length,
    batches: (epoch) =>
      batches(data.train, { size, seed, epoch, shuffle: true, augment, dropLast: true }),
    stepsPerEpoch: batchCount(data.train.size, { size, dropLast: true }),
    validation: data.validation,
    ...(teacherLogits ? { teacherLogits } : {}),
    masks,
    sharesCores: online !== undefined,
    checkpoint: join(folder, 'checkpoint'),
    checkpointDue: () => context.checkpointDue(),
    seed,
    threads: context.threads,
    provider: context.provider,
    signal: context.signal,
    log: (message) => context.log(message),
    progress: (progress) => context.progress(progress),
  }
  try {
    const { model: trained, epochs, bestEpoch } = await train(model, settings)
    const best = epochs[bestEpoch - 1]!
    const accuracy = (best.validationAccuracy * 100).toFixed(2)
    return {
      model: trained,
      facts: {
        losses,
        epochs,
        summary: `trained ${epochs.length} epochs, best ${bestEpoch}: ${accuracy} % of the validation samples right`,
      },
    }
  } finally {
    await online?.session.dispose()
  }
}
