// Training and fine-tuning on labels.
import { z } from 'zod'
import { defineStage } from './stage.ts'
import { chosenLosses, stageTrainingOptions, trainModel } from './training.ts'

/** Trains a model on the data's labels (or on any other losses). */
export const train = defineStage({
  summary: 'Train or fine-tune a model on the labels of the data',
  options: z.strictObject({
    stage: z.literal('train'),
    ...stageTrainingOptions,
    losses: chosenLosses('those of the task for labels'),
  }),
  dataUse: () => 'always',
  passes: ({ epochs }) => 3 * epochs,
  run: ({ model }, options, context) =>
    trainModel(model, options, { losses: options.losses ?? context.task.losses }, context),
})
