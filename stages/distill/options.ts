// The options of distillation.
import { z } from 'zod'
import { studentSource } from '../../models/source.ts'
import { trainingOptions } from '../../train/options.ts'
import { combineOptions } from '../teaching/combine.ts'
import { answersOption, chosenLosses, scoreOption, stageTrainingOptions } from '../training.ts'
import { biasOptions } from './bias-correction.ts'
import { teacherOptions } from './teachers.ts'
import { focusOptions, transferOptions } from './transfer.ts'

/** An option that may be left out, instead of one with a default. */
const open = <Inner extends z.ZodType>(option: z.ZodDefault<Inner>) =>
  z.optional(option.unwrap()).describe(option.description ?? '')

const phaseOptions = z
  .strictObject({
    losses: chosenLosses('those of the stage'),
    epochs: trainingOptions.epochs,
    batch: open(stageTrainingOptions.batch),
    optimizer: open(stageTrainingOptions.optimizer),
    schedule: open(stageTrainingOptions.schedule),
    freeze: open(stageTrainingOptions.freeze),
    keep: open(stageTrainingOptions.keep).describe(
      'Which epoch the next phase goes on from: the last, unless given.',
    ),
  })
  .describe('One phase; what it does not say is as in the stage.')

/** Schema of the options of the stage. */
export const distillOptions = z.strictObject({
  stage: z.literal('distill'),
  student: studentSource
    .optional()
    .describe('The student; the model that the stage is given, unless named.'),
  teachers: z
    .array(teacherOptions)
    .min(1)
    .optional()
    .describe("Who teaches; the recipe's teacher unless given."),
  combine: z
    .union([z.enum(['mean', 'weighted', 'confidence', 'best', 'specialists']), combineOptions])
    .describe('How the answers of several teachers become one: by name, or with options.')
    .default('mean'),
  assistants: z
    .union([z.literal('auto'), z.array(studentSource).min(1)])
    .optional()
    .describe(
      'Models between teacher and student, each taught by the one before; auto: narrower copies of the teacher, in equal ratios of parameters.',
    ),
  generations: z
    .int()
    .min(1)
    .max(20)
    .default(1)
    .describe(
      'How often a student is trained, each time anew by the one before (born-again); the best of them is the result.',
    ),
  peers: z
    .array(studentSource)
    .min(1)
    .optional()
    .describe("Models that learn at the same time, for the loss 'mutual'; thrown away after."),
  transfer: transferOptions.optional(),
  focus: focusOptions.optional(),
  bias: biasOptions.optional(),
  answers: answersOption,
  score: scoreOption,
  ...stageTrainingOptions,
  losses: chosenLosses('those of the task for distillation'),
  phases: z
    .array(phaseOptions)
    .min(1)
    .optional()
    .describe('Trainings one after the other, as features first and then logits.'),
})

/** The options of the stage, resolved. */
export type DistillOptions = z.output<typeof distillOptions>
