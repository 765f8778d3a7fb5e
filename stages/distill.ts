// Knowledge distillation (Hinton, Vinyals and Dean 2015): a student learns from the teacher's answers.
import { z } from 'zod'
import { changesSamples } from '../data/augment.ts'
import { modelSource, openSource } from '../models/source.ts'
import { defineStage } from './stage.ts'
import {
  distillationLosses,
  lossList,
  requiredData,
  stageTrainingOptions,
  trainModel,
} from './training.ts'

/** Trains a student to answer as the teacher does. */
export const distill = defineStage({
  summary: 'Train a small student to answer as the teacher does',
  options: z.strictObject({
    stage: z.literal('distill'),
    student: modelSource
      .optional()
      .describe('The student; the model that the stage is given, unless named.'),
    ...stageTrainingOptions,
    losses: lossList
      .default([...distillationLosses])
      .describe('Terms of the loss; their weighted sum is minimised.'),
  }),
  dataUse: () => 'always',
  // The teacher answers once where samples stay the same, and every time where they are augmented.
  passes: ({ epochs, augment }) => 3 * epochs + (changesSamples(augment) ? epochs : 1),
  async run(input, options, context) {
    const { train } = requiredData(context)
    const { seed } = context
    const student = options.student
      ? await openSource(options.student, {
          shape: train.shape,
          classes: train.classes.length,
          seed,
        })
      : input.model
    return trainModel(student, options, options.losses, context)
  },
})
