// Recovery: the short fine-tuning that gives back what cutting took away.
import { z } from 'zod'
import type { Artifact, StageContext } from './stage.ts'
import { stageTrainingOptions, trainModel } from './training.ts'

/** Options of a recovery, a part of the options of stages that cut. */
export const recoverOptions = z
  .strictObject({
    ...stageTrainingOptions,
    epochs: stageTrainingOptions.epochs.default(2),
  })
  .describe('Fine-tuning afterwards, with the losses of the last training.')

/**
 * Fine-tunes an artifact with the losses that it was trained with, or by the task's distillation from the teacher.
 *
 * `masks` keeps pruned weights at zero: by initializer, 1 where a weight learns.
 */
export async function recover(
  artifact: Artifact,
  options: z.output<typeof recoverOptions>,
  context: StageContext,
  masks?: ReadonlyMap<string, Float32Array>,
): Promise<Artifact> {
  const losses = artifact.facts.losses ?? context.task.distillation
  const { model, facts } = await trainModel(artifact.model, options, { losses, masks }, context)
  const summary = [artifact.facts.summary, facts.summary].filter(Boolean).join('; ')
  return { model, facts: { ...artifact.facts, ...facts, summary } }
}
