// What the stages that train have in common: batches from the data, the teacher's answers, the loop.
import { join } from 'node:path'
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { makeFolder } from '../base/files.ts'
import { augmentOptions, changesSamples } from '../data/augment.ts'
import { batchCount } from '../data/batches.ts'
import type { Dataset, Splits } from '../data/dataset.ts'
import { openBatches } from '../data/stream.ts'
import { withClasses } from '../models/class-names.ts'
import type { Model } from '../onnx/graph.ts'
import { sizeOf } from '../onnx/tensor.ts'
import { bindInputs } from '../runtime/bind.ts'
import type { Predictions, Task } from '../tasks/task.ts'
import type { Quantizers } from '../train/fake-quantize.ts'
import { train } from '../train/loop.ts'
import type { Focus } from '../train/loss-context.ts'
import {
  comparesBinary,
  comparesWith,
  type LossOptions,
  lossOptions,
  needsTeacher,
} from '../train/losses.ts'
import type { Masking } from '../train/masking.ts'
import { trainingOptions } from '../train/options.ts'
import { needsGroups } from '../train/penalties.ts'
import { largestOf } from '../train/scheduled.ts'
import type { TrainSettings } from '../train/settings.ts'
import { type TapNames, tapsOf } from '../train/taps.ts'
import { answersOf } from './answers.ts'
import { withPeers } from './distill/peers.ts'
import { feedingOf, inputsOf } from './feeding.ts'
import { penalisedGroups } from './penalised-groups.ts'
import type { Artifact, StageContext } from './stage.ts'
import { settleTaps } from './taps.ts'
import { type CombineOptions, defaultCombination } from './teaching/combine.ts'
import { type Member, openTeaching } from './teaching/teaching.ts'
import { type Trainable, trainable } from './trainable.ts'

/** Options that every stage with a training has. */
export const stageTrainingOptions = {
  ...trainingOptions,
  augment: augmentOptions.optional().describe('Random changes to the training samples.'),
} as const

/** The options of a training, resolved. */
export type StageTraining = z.output<z.ZodObject<typeof stageTrainingOptions>>

/** What a model learns, and from whom. */
export interface Lesson {
  readonly losses: readonly LossOptions[]
  /** Who teaches; the context's teacher unless told. */
  readonly teachers?: readonly Member[]
  /** How the answers of several teachers become one. */
  readonly combine?: CombineOptions
  /** How answers are kept, or that they are asked for anew with every batch; float16 unless told. */
  readonly answers?: AnswersOption
  /** What is learned from, the data of the context unless told. */
  readonly data?: Splits
  /** True where some samples of the data have no label. */
  readonly unlabelled?: boolean
  readonly focus?: Focus | undefined
  readonly score?: ScoreName
  /** Models that learn at the same time, and from which this one learns. */
  readonly peers?: readonly Model[]
  /** By initializer: 1 where a weight learns, 0 where it stays. */
  readonly masks?: ReadonlyMap<string, Float32Array> | undefined
  /** Who changes these masks while the model learns; it is told of the model in its own form. */
  readonly masking?: Masking | undefined
  /** What the fake quantizations in the model ask for; it must take whole samples. */
  readonly quantizers?: Quantizers | undefined
  /** Tells this training from others of the same stage. */
  readonly part?: string
}

/** How the answers of a teacher are kept. */
export const answersOption = z
  .enum(['float16', 'float32', 'online'])
  .default('float16')
  .describe(
    "How the teacher's answers are kept on disk; online: asked for anew with every batch, as they always are where samples are augmented.",
  )
type AnswersOption = z.output<typeof answersOption>

/** By what the best epoch is known. */
export const scoreOption = z
  .enum(['accuracy', 'agreement', 'divergence'])
  .default('accuracy')
  .describe(
    'What chooses the best epoch and stops early on the validation samples: the main figure of the task, the share of decisions that are those of the teacher, or how little the answers diverge from its own.',
  )
type ScoreName = z.output<typeof scoreOption>

/** A list of losses as an option. */
const lossList = z.array(lossOptions).min(1)

/** Terms of the loss, where a recipe may leave them to the task. */
export const chosenLosses = (fallback: string) =>
  lossList
    .optional()
    .describe(`Terms of the loss, whose weighted sum is minimised; ${fallback} unless given.`)

/** The data of a stage that cannot do without. */
export function requiredData({ data }: StageContext): Splits {
  if (!data) throw new UserError('training needs data: there is none — name a data set')
  return data
}

/** Trains a model on the training split and keeps the epoch that is best on the validation split. */
export async function trainModel(
  model: Model,
  options: StageTraining,
  lesson: Lesson,
  context: StageContext,
): Promise<Artifact> {
  const data = lesson.data ?? requiredData(context)
  const { seed, folder, task } = context
  const { augment } = options
  const {
    losses: asked,
    peers = [],
    answers = 'float16',
    focus,
    unlabelled,
    masks,
    quantizers,
  } = lesson
  checkLosses(asked)
  const size = batchSize(options.batch, data.train)
  makeFolder(folder)
  const trained = peers.length > 0 ? withPeers(model, peers) : trainable(model, data.train)
  const fedData = trained.samples(data.train)
  const feeding = feedingOf(trained.model.graph, fedData, task, size)
  const members = lesson.teachers ?? [{ name: 'teacher', model: context.teacher, weight: 1 }]
  const [first] = members
  const settled = await settleTaps(
    asked,
    // Beside its peers, the student has its own names still.
    { model: peers.length > 0 ? model : trained.model, samples: fedData, where: 'student' },
    first && { model: first.model, samples: data.train, where: first.name },
  )
  if (settled.note) context.log(settled.note)
  const { losses } = settled
  const taught = needsTeacher(losses) || focus?.by === 'teacher'
  // What changes each time, by itself or by mixing, the teacher must be asked about each time.
  const online = taught && (answers === 'online' || changesSamples(augment))
  const read = online ? columnsOfTeachers(members, data.train, changesSamples(augment)) : []
  const columns = [...new Set([...feeding.columns, ...read])]
  const batches = openBatches(fedData, {
    ...{ size, seed, shuffle: true, augment, dropLast: true, columns },
  })
  const teaching = taught
    ? await openTeaching(
        members,
        lesson.combine ?? defaultCombination,
        {
          outputs: comparesWith(losses, 'all outputs')
            ? 'all'
            : comparesWith(losses, 'teacher') || focus?.by === 'teacher'
              ? 'first'
              : 'none',
          taps: settled.taught,
          gradient: comparesWith(losses, 'teacher gradient'),
          binary: comparesBinary(losses, feeding.group ?? 1),
        },
        data.train,
        { online, store: answers === 'online' ? 'float16' : answers, batch: size },
        context,
      )
    : undefined
  const score = await scorer(context, data, taught, lesson.score ?? 'accuracy')
  const masking = lesson.masking && toldOf(lesson.masking, trained)
  const groups = needsGroups(options.penalties)
    ? await penalisedGroups(trained.model, feedingOf(trained.model.graph, fedData, task, 1).dims)
    : undefined
  const { dims, constants, classes, targetWidth, group } = feeding
  const settings: TrainSettings = {
    options: { ...options, batch: size },
    losses,
    ...{ dims, constants, classes, targetWidth, group },
    classWeights: classWeightsOf(options.classWeights, data.train, task),
    ...{
      focus,
      unlabelled,
      masks,
      masking,
      quantizers,
      groups,
      samples: data.train.size,
      taught: teaching?.taught,
    },
    batches: (epoch, from) => feeding.batches(batches.epoch(epoch, from)),
    stepsPerEpoch: batchCount(data.train.size, { size, dropLast: true }),
    validate: (current) => score(trained.restore(current)),
    teacher: teaching?.answers,
    sharesCores: online,
    checkpoint: join(folder, lesson.part ? `checkpoint ${lesson.part}` : 'checkpoint'),
    checkpointDue: () => context.checkpointDue(),
    seed,
    threads: context.threads,
    provider: context.provider,
    signal: context.signal,
    log: (message) => context.log(message),
    progress: ({ score: now, ...progress }) =>
      context.progress({
        ...progress,
        ...(now === undefined ? {} : { accuracy: now, metric: score.metric() }),
      }),
  }
  try {
    const { model: result, epochs, bestEpoch } = await train(trained.model, settings)
    const best = epochs[bestEpoch - 1]!
    return {
      model: namingClasses(trained.restore(result), data.train, task),
      facts: {
        losses: asked,
        ...(first?.model === context.teacher && { taps: tappedPairs(losses) }),
        epochs,
        summary: `trained ${epochs.length} epochs, best ${bestEpoch}: ${score.metric()} ${best.score.toFixed(4)} on the validation samples`,
      },
    }
  } finally {
    await batches.close()
    await teaching?.close()
  }
}

/** Lets who decides masks see the model in its own form. */
const toldOf = (masking: Masking, { restore }: Pick<Trainable, 'restore'>): Masking => ({
  ...masking,
  decide: (state) => masking.decide({ ...state, model: () => restore(state.model()) }),
})

/** The values that losses compare, each pair once. */
const tappedPairs = (losses: readonly LossOptions[]): TapNames[] => {
  const pairs = losses
    .flatMap((loss) => tapsOf(loss) ?? [])
    .filter((tap) => typeof tap !== 'string')
  return [...new Map(pairs.map((pair) => [JSON.stringify(pair), pair])).values()]
}

/** The model, stating the names of the classes that it was trained for. */
const namingClasses = (model: Model, { classes }: Dataset, { target }: Task): Model =>
  target === 'class' || target === 'tags' ? withClasses(model, classes) : model

/** A sum of weights that is zero teaches nothing. */
function checkLosses(losses: readonly LossOptions[]): void {
  if (losses.every(({ weight }) => largestOf(weight) === 0))
    throw new UserError(
      `losses: their weights sum to zero: ${losses.map(({ loss }) => `'${loss}'`).join(', ')} — give one of them a weight`,
    )
}

/** The columns that the teachers read of batches that they are asked about. */
function columnsOfTeachers(
  members: readonly Member[],
  data: Dataset,
  changes: boolean,
): readonly number[] {
  const columns = members.flatMap(
    ({ name, model }) => bindInputs(inputsOf(model.graph), data, name).columns,
  )
  for (const { column } of columns) {
    const { name } = data.columns[column]!
    if (changes && /\.(raw|planes)$/.test(name))
      throw new UserError(
        `augment: the teacher takes the bytes of '${name}', which augmentation does not change — leave it out`,
      )
  }
  return columns.map(({ column }) => column)
}

/** Samples of a batch: not more than there are, and whole groups of them. */
function batchSize(asked: number, { size, group }: Dataset): number {
  const most = Math.min(asked, size)
  return Math.max(group, most - (most % group))
}

/**
 * Says how good a model is on the validation samples, by the main figure of the task or by what is left of the
 * teacher.
 *
 * Where there are no labels, the truth is the teacher, or the model's own input where no loss asks for the teacher.
 */
async function scorer(
  context: StageContext,
  { validation }: Splits,
  taught: boolean,
  by: ScoreName,
) {
  const { task } = context
  const isUnlabelled = task.target === 'none'
  const outputs = isUnlabelled && !taught ? 'first' : task.outputs
  const asked = (model: Model, where: string) =>
    answersOf(model, validation, context, { outputs, where })
  let truth: Promise<Predictions> | Predictions | undefined
  let metric = ''
  const score = async (model: Model): Promise<number> => {
    const answers = await asked(model, 'model')
    // Only where the teacher is the truth is it asked.
    if (isUnlabelled)
      truth ??= taught ? asked(context.teacher, 'teacher') : ownInput(model, validation)
    if (by !== 'accuracy') {
      truth ??= asked(context.teacher, 'teacher')
      const kept = task.retain(await truth, answers, validation)
      metric = by
      if (by === 'agreement') return kept.agreement
      if (kept.klDivergence === null)
        throw new UserError(
          `score: answers of this task have no divergence — choose 'agreement' or 'accuracy'`,
        )
      return -kept.klDivergence
    }
    const { accuracy } = task.evaluate(answers, validation, (await truth) ?? answers)
    metric = accuracy.metric
    return accuracy.value
  }
  return Object.assign(score, { metric: () => metric })
}

/** What a model that gives its input back should answer. */
function ownInput(model: Model, samples: Dataset): Predictions {
  const [input] = bindInputs(inputsOf(model.graph), samples, 'model').columns
  if (!input) throw new Error('internal: a model without inputs was trained on its input')
  const width = sizeOf(samples.columns[input.column]!.shape)
  const values = new Float32Array(width)
  return {
    ...{ size: samples.size, width },
    row(index) {
      samples.read(index, input.column, values, 0)
      return values
    },
  }
}

/** How much each class counts: as given, or such that every class counts alike over all samples. */
function classWeightsOf(
  given: StageTraining['classWeights'],
  data: Dataset,
  { target }: Pick<Task, 'target'>,
): readonly number[] | undefined {
  const { classes, source } = data
  if (given === undefined) return undefined
  if (target !== 'class' && target !== 'tags')
    throw new UserError(
      `classWeights: is for samples or words of one class each, which those of ${source} are not — leave it out`,
    )
  if (given !== 'balanced') {
    if (given.length !== classes.length)
      throw new UserError(
        `classWeights: needs one number a class: ${given.length} for ${classes.length} classes of ${source} — give ${classes.length}, or 'balanced'`,
      )
    return given
  }
  const counts = new Array<number>(classes.length).fill(0)
  let total = 0
  for (const label of target === 'class' ? data.labels : positionsOf(data)) {
    if (label < 0) continue
    counts[label]!++
    total++
  }
  return counts.map((count) => (count === 0 ? 0 : total / (classes.length * count)))
}

/** The class of every position of every sample; -1 where none counts. */
function* positionsOf({ size, targetWidth, target }: Dataset): Generator<number> {
  const classes = new Float32Array(targetWidth)
  for (let index = 0; index < size; index++) {
    target(index, classes, 0)
    yield* classes
  }
}
