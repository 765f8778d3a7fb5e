// Recovery: the short training that gives back what cutting took away.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Model } from '../onnx/graph.ts'
import type { Quantizers } from '../train/fake-quantize.ts'
import type { LossOptions } from '../train/losses.ts'
import type { Masking } from '../train/masking.ts'
import type { Artifact, StageContext } from './stage.ts'
import {
  answersOption,
  chosenLosses,
  scoreOption,
  stageTrainingOptions,
  trainModel,
} from './training.ts'

/** Options of a recovery, a part of the options of stages that cut. */
export const recoverOptions = z
  .strictObject({
    ...stageTrainingOptions,
    epochs: stageTrainingOptions.epochs.default(2),
    teacher: z
      .enum(['unpruned', 'recipe'])
      .default('unpruned')
      .describe(
        "Who teaches: the model as it was before this stage, or the recipe's teacher, which may know more.",
      ),
    labels: z
      .boolean()
      .default(false)
      .describe("Fine-tunes with the task's losses on labels, without a teacher."),
    losses: chosenLosses('those of the task for distillation, or with labels: true for labels'),
    answers: answersOption,
    score: scoreOption,
  })
  .refine(({ labels, losses }) => !labels || losses === undefined, {
    path: ['labels'],
    message: 'does not go with losses, which say by themselves whether labels are needed',
  })
  .describe('A training afterwards: distillation from the unpruned model, unless told otherwise.')

/** The options, resolved. */
export type RecoverOptions = z.output<typeof recoverOptions>

/** What a recovery knows besides the model. */
export interface Recovery {
  /** The model as it was: what is to be got back. */
  readonly unpruned: Model
  /** Keeps pruned weights at zero: by initializer, 1 where a weight learns. */
  readonly masks?: ReadonlyMap<string, Float32Array> | undefined
  /** Who changes the masks while the model learns. */
  readonly masking?: Masking | undefined
  /** What the fake quantizations in the artifact ask for. */
  readonly quantizers?: Quantizers | undefined
  /** Tells this training from others of the same stage. */
  readonly part?: string
}

/** Trains an artifact to answer as the unpruned model does, or with the losses that are asked for. */
export async function recover(
  artifact: Artifact,
  options: RecoverOptions,
  context: StageContext,
  { unpruned, masks, masking, quantizers, part }: Recovery,
): Promise<Artifact> {
  const { teacher, answers, score } = options
  const { model, facts } = await trainModel(
    artifact.model,
    options,
    {
      losses: lossesOf(options, context),
      teachers: [
        teacher === 'unpruned'
          ? { name: 'unpruned model', model: unpruned, weight: 1 }
          : { name: 'teacher', model: context.teacher, weight: 1 },
      ],
      ...{ answers, score, masks, masking, quantizers },
      ...(part !== undefined && { part }),
    },
    context,
  )
  const summary = [artifact.facts.summary, facts.summary].filter(Boolean).join('; ')
  return { model, facts: { ...artifact.facts, ...facts, summary } }
}

/** What is learned. */
function lossesOf(
  { labels, losses }: RecoverOptions,
  { task }: StageContext,
): readonly LossOptions[] {
  if (losses) return losses
  if (!labels) return task.distillation
  if (task.target === 'none')
    throw new UserError(
      'recover.labels: the samples of this task have no labels — leave it out to learn from the unpruned model',
    )
  return task.losses
}
