// Knowledge distillation: a student learns from the answers, and from values inside, of one or several teachers.
import { UserError } from '../../base/errors.ts'
import { changesSamples } from '../../data/augment.ts'
import type { Splits } from '../../data/dataset.ts'
import { initialise } from '../../models/fresh.ts'
import { openSource } from '../../models/source.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { comparesWith } from '../../train/losses.ts'
import type { EpochRecord } from '../../train/settings.ts'
import { type Building, buildingFor } from '../building.ts'
import { type Artifact, defineStage, type StageContext } from '../stage.ts'
import { combineOptions } from '../teaching/combine.ts'
import type { Member } from '../teaching/teaching.ts'
import { type Lesson, requiredData, type StageTraining, trainModel } from '../training.ts'
import type { Taught } from './advice.ts'
import { adviseOn } from './advise.ts'
import { chooseAssistants, parametersOf } from './assistants.ts'
import { checkBias, correctBias } from './bias-correction.ts'
import { answersInOrder, learnerInOrder } from './class-order.ts'
import { type DistillOptions, distillOptions } from './options.ts'
import { openTeachers } from './teachers.ts'
import {
  checkLosses,
  checkTransfer,
  lossesWithoutLabels,
  type TransferSet,
  transferSet,
} from './transfer.ts'

/** Trains a student to answer as its teachers do. */
export const distill = defineStage({
  summary: 'Train a small student to answer as the teacher does',
  options: distillOptions,
  dataUse: () => 'always',
  check({ transfer, bias, losses, phases = [], focus, peers }, data) {
    const { classes, source } = data.train
    const given = [losses, ...phases.map((phase) => phase.losses)].filter(
      (terms) => terms !== undefined,
    )
    if (bias) checkBias(bias, data)
    if (focus && classes.length === 0)
      throw new UserError(
        `focus: is for samples of classes, of which those of ${source} have none — leave it out`,
      )
    if (peers && !given.some((terms) => comparesWith(terms, 'peers')))
      throw new UserError(
        "peers: no loss listens to them — add the loss 'mutual', or leave them out",
      )
    if (!transfer) return
    checkTransfer(transfer, data)
    for (const terms of given) checkLosses(transfer, terms, data.train)
  },
  variants: ({ teachers = [] }) =>
    teachers.flatMap((teacher) => ('variant' in teacher ? [teacher.variant] : [])),
  // The teacher answers once where samples stay the same, and every time where they are augmented.
  passes({ epochs, augment, phases, generations, assistants, teachers = [1] }) {
    const all = epochsOf({ phases, epochs })
    const trainings = generations + (assistants === 'auto' ? 1 : (assistants?.length ?? 0))
    const asked = changesSamples(augment) ? all : 1
    return trainings * (3 * all + asked * teachers.length)
  },
  async run(input, options, context) {
    const data = requiredData(context)
    const building = buildingFor(data.train, context)
    const named = options.student
    const learner = (model: Model, where: string) =>
      learnerInOrder(model, data.train, context, where)
    const student = learner(named ? await openSource(named, building) : input.model, 'student')
    const peers: Model[] = []
    for (const [index, source] of (options.peers ?? []).entries()) {
      const peer = await openSource(source, { ...building, seed: building.seed + index + 1 })
      peers.push(learner(peer, `peer ${index + 1}`))
    }
    const masters = await openTeachers(options.teachers, data.train, context)
    let teachers = masters
    const transfer = await learnedFrom(data, student, teachers[0]!, options, context)
    const { combine, answers, score, focus } = options
    const lesson: Lesson = {
      losses: options.losses ?? usualLosses(options, context),
      combine: typeof combine === 'string' ? combineOptions.parse({ by: combine }) : combine,
      ...{ answers, score, focus },
      ...(transfer && {
        data: { ...data, train: transfer.data },
        unlabelled: transfer.unlabelled,
      }),
    }
    const summaries = transfer ? [transfer.summary] : []
    const pupils: Pupil[] = []
    for (const [index, source] of (await assistantsOf(options, student, building)).entries()) {
      const name = `assistant ${index + 1}`
      pupils.push({ name, model: learner(await openSource(source, building), name) })
    }
    const generations = pupils.length
    for (let generation = 1; generation <= options.generations; generation++)
      pupils.push({
        name: generation === 1 ? 'student' : `generation ${generation}`,
        model: generation === 1 ? student : fresh(student, context.seed + generation - 1),
      })
    // Each is taught by the one before.
    const taught: Learned[] = []
    const epochs: EpochRecord[] = []
    const each = epochsOf(options)
    for (const [index, { name, model }] of pupils.entries()) {
      if (pupils.length > 1) context.log(`${name}: ${parametersOf(model)} parameters`)
      const part = within(context, index * each, each, pupils.length * each)
      const learned = { ...lesson, teachers, peers, part: name === 'student' ? '' : name }
      const done = await inPhases(model, options, learned, part)
      taught.push(done)
      epochs.push(...later(done.facts.epochs ?? [], epochs.length))
      teachers = [{ name, model: done.model, weight: 1 }]
      if (index < generations) summaries.push(`${name}: ${done.facts.summary}`)
    }
    const best = generations + bestOf(taught.slice(generations))
    const chosen = taught[best]!
    if (options.generations > 1)
      summaries.push(`'${pupils[best]!.name}' is the best of ${options.generations} generations`)
    const corrected = options.bias
      ? await correctBias(chosen.model, options.bias, data, context, transfer?.classCounts)
      : { model: chosen.model, summary: undefined }
    const summary = [...summaries, chosen.facts.summary, corrected.summary]
      .filter((line) => line !== undefined)
      .join('; ')
    const advice = await adviseOn(
      {
        student: corrected.model,
        teachers: masters,
        phases: chosen.phases,
        hasAssistants: generations > 0,
        augment: options.augment,
      },
      context,
    )
    for (const line of advice) context.log(`advice: ${line}`)
    const { losses = [], ...known } = chosen.facts
    // Whoever goes on with this student alone has no peers.
    const lasting = losses.filter((loss) => !comparesWith([loss], 'peers'))
    const facts = { ...known, ...(lasting.length > 0 && { losses: lasting }) }
    return { model: corrected.model, facts: { ...facts, epochs, summary, advice } }
  },
})

/** A model that was taught, and in which phases. */
interface Learned extends Artifact {
  readonly phases: readonly Taught[]
}

/** A model that is to be taught. */
interface Pupil {
  readonly name: string
  readonly model: Model
}

/** The samples that are learned from. */
async function learnedFrom(
  data: Splits,
  student: Model,
  teacher: Member,
  { transfer }: DistillOptions,
  context: StageContext,
): Promise<TransferSet | undefined> {
  if (!transfer) return undefined
  const asked = (model: Model, where: string) => (samples: Splits['train']) =>
    answersInOrder(model, samples, context, where)
  return transferSet(data, transfer, {
    teacher: asked(teacher.model, teacher.name),
    student: asked(student, 'student'),
    seed: context.seed,
  })
}

/** What a student is taught with where the recipe leaves it to the task. */
const usualLosses = (
  { transfer }: DistillOptions,
  { task: { distillation } }: StageContext,
): Lesson['losses'] =>
  transfer?.labels === false ? lossesWithoutLabels(distillation) : distillation

/** The sources of the assistants, the largest first. */
async function assistantsOf({ assistants }: DistillOptions, student: Model, building: Building) {
  if (assistants !== 'auto') return assistants ?? []
  const chosen = await chooseAssistants(student, building)
  if (chosen.length === 0) building.log?.('assistants: none is needed between these sizes')
  return chosen.map(({ source }) => source)
}

/** The same model with other weights to begin with. */
function fresh(model: Model, seed: number): Model {
  const copy = cloneModel(model)
  initialise(copy, seed)
  return copy
}

/** The phases of a training, each going on from the one before. */
async function inPhases(
  student: Model,
  { phases, ...stage }: DistillOptions,
  lesson: Lesson,
  context: StageContext,
): Promise<Learned> {
  if (!phases) {
    const { model, facts } = await trainModel(student, stage, lesson, context)
    return { model, facts, phases: [{ losses: lesson.losses, epochs: facts.epochs ?? [] }] }
  }
  let done: Learned = { model: student, facts: {}, phases: [] }
  for (const [index, { losses = lesson.losses, ...own }] of phases.entries()) {
    const last = index === phases.length - 1
    context.log(`phase ${index + 1} of ${phases.length}`)
    // What a phase leaves out is as in the stage.
    const training = { ...stage, keep: last ? stage.keep : 'last', ...given(own) } as StageTraining
    const before = done.facts.epochs ?? []
    const { model, facts } = await trainModel(
      done.model,
      training,
      { ...lesson, losses, part: [lesson.part, `phase${index + 1}`].filter(Boolean).join(' ') },
      within(context, before.length, training.epochs, epochsOf({ phases, epochs: 0 })),
    )
    const epochs = [...before, ...later(facts.epochs ?? [], before.length)]
    const taught = { losses, epochs: facts.epochs ?? [] }
    done = { model, facts: { ...facts, epochs }, phases: [...done.phases, taught] }
  }
  return done
}

/** Epochs numbered as those that come after others. */
const later = (epochs: readonly EpochRecord[], before: number): EpochRecord[] =>
  epochs.map((record) => ({ ...record, epoch: before + record.epoch }))

/** The epochs of one training, all phases together. */
const epochsOf = ({ phases, epochs }: Pick<DistillOptions, 'phases' | 'epochs'>): number =>
  phases ? phases.reduce((sum, phase) => sum + phase.epochs, 0) : epochs

/** The same context, in which a training of some epochs tells of its part of a longer one. */
const within = (
  context: StageContext,
  before: number,
  epochs: number,
  total: number,
): StageContext => ({
  ...context,
  checkpointDue: () => context.checkpointDue(),
  log: (message) => context.log(message),
  progress: (progress) =>
    context.progress({
      ...progress,
      done: (before + progress.done * epochs) / total,
      ...(progress.epoch !== undefined && { epoch: before + progress.epoch, epochs: total }),
    }),
})

const given = (values: object): object =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

/** The place of the artifact whose best epoch is best; of equal ones the first. */
function bestOf(artifacts: readonly Artifact[]): number {
  const scores = artifacts.map(({ facts }) =>
    Math.max(...(facts.epochs ?? []).map(({ score }) => score)),
  )
  return scores.indexOf(Math.max(...scores))
}
