// Knowledge distillation (Hinton, Vinyals and Dean 2015): a student learns from the teacher's answers.
import { z } from 'zod'
import { changesSamples } from '../data/augment.ts'
import { openSource, studentSource } from '../models/source.ts'
import { buildingFor } from './building.ts'
import { defineStage } from './stage.ts'
import { chosenLosses, requiredData, stageTrainingOptions, trainModel } from './training.ts'

/** Trains a student to answer as the teacher does. */
export const distill = defineStage({
  summary: 'Train a small student to answer as the teacher does',
  options: z.strictObject({
    stage: z.literal('distill'),
    student: studentSource
      .optional()
      .describe('The student; the model that the stage is given, unless named.'),
    ...stageTrainingOptions,
    losses: chosenLosses('those of the task for distillation'),
  }),
  dataUse: () => 'always',
  // The teacher answers once where samples stay the same, and every time where they are augmented.
  passes: ({ epochs, augment }) => 3 * epochs + (changesSamples(augment) ? epochs : 1),
  async run(input, options, context) {
    const student = options.student
      ? await openSource(options.student, buildingFor(requiredData(context).train, context))
      : input.model
    const losses = options.losses ?? context.task.distillation
    return trainModel(student, options, losses, context)
  },
})
