// The transfer set (Hinton, Vinyals and Dean 2015, section 1): the samples that the student is taught with, which
// need no labels, and need not be those that the teacher was trained on.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Dataset, Splits } from '../../data/dataset.ts'
import { joined } from '../../data/joined.ts'
import { subset, withoutLabels } from '../../data/subset.ts'
import type { Predictions } from '../../tasks/task.ts'
import type { Reference } from '../../train/loss.ts'
import { comparesWith, type LossOptions } from '../../train/losses.ts'
import {
  classNumbers,
  type Decisions,
  decisionsOf,
  type Pool,
  readRule,
  ruleOptions,
  selectBy,
} from './selection.ts'

/** Schema of the weighting of hard examples. */
export const focusOptions = z
  .strictObject({
    by: z
      .enum(['teacher', 'student'])
      .default('teacher')
      .describe('Whose doubt makes an example hard.'),
    power: z
      .number()
      .positive()
      .max(10)
      .default(1)
      .describe('The power of 1 - p, p the probability of the label, or else the largest one.'),
  })
  .describe('Samples count (1 - p)^power, over its mean in the batch: hard ones more.')

/** Schema of the transfer set. */
export const transferOptions = z
  .strictObject({
    labels: z
      .boolean()
      .default(true)
      .describe('Whether labels are looked at; without them, a class is what the teacher says.'),
    unlabelled: z
      .boolean()
      .default(false)
      .describe('Adds the samples without labels that data.unlabelled names.'),
    select: z
      .array(ruleOptions)
      .default([])
      .describe(
        "Rules that choose samples, one after the other: 'teacher-correct', 'both-correct', 'balanced', or { confidence: 0.9 }, { without: ['3'] }, { only: ['0', '1'] }, { share: 0.1 }.",
      ),
  })
  .describe('Which samples the student is taught with.')

/** Resolved options of the transfer set. */
export type TransferOptions = z.output<typeof transferOptions>

/** Gives a model's answers to samples, normalised by the task: logits of a softmax for classes. */
export type Answers = (samples: Dataset) => Promise<Predictions>

/** What a choice depends on besides data and options. */
export interface Asked {
  readonly seed: number
  readonly teacher: Answers
  /** The student before it is taught; asked by `both-correct` alone. */
  readonly student: Answers
}

/** The samples that a student is taught with. */
export interface TransferSet {
  readonly data: Dataset
  /** True where some of them have no label. */
  readonly unlabelled: boolean
  /** One line for people: how many samples are left of how many, by which rules. */
  readonly summary: string
  /** How many samples each class has among all training samples, and in this set; see `biasOptions`. */
  classCounts(): Promise<ClassCounts>
}

/** Samples by class. */
export interface ClassCounts {
  readonly all: readonly number[]
  readonly used: readonly number[]
}

/** True where every sample has one class, or would have one. */
export const hasClasses = ({ classes, targetWidth }: Dataset): boolean =>
  classes.length > 0 && targetWidth === 0

/** Refuses what cannot be done with this data, before anything runs; every message is a {@link UserError}. */
export function checkTransfer({ labels, unlabelled, select }: TransferOptions, data: Splits): void {
  const { train } = data
  if (unlabelled && !data.unlabelled)
    throw new UserError(
      'transfer.unlabelled: the data has no samples without labels — name some as data.unlabelled, or leave it out',
    )
  for (const options of select) {
    const { name, argument } = readRule(options)
    if (name === 'share') continue
    if (!hasClasses(train) || train.group > 1)
      throw new UserError(
        `transfer.select: '${name}' is for samples of one class each, which those of ${train.source} are not — use share alone`,
      )
    if (!labels && (name === 'teacher-correct' || name === 'both-correct'))
      throw new UserError(
        `transfer.select: '${name}' needs labels, which labels: false leaves out — choose by confidence`,
      )
    if (Array.isArray(argument)) classNumbers(train, argument)
  }
}

/**
 * Refuses losses that compare with what samples of this set do not have: the labels where none is looked at, and target
 * values where some have none.
 */
export function checkLosses(
  { labels, unlabelled }: Pick<TransferOptions, 'labels' | 'unlabelled'>,
  losses: readonly LossOptions[],
  data: Dataset,
): void {
  if (labels && !unlabelled) return
  // Words of which nothing is known count in no loss at all once labels do.
  const refused: Reference[] = labels && hasClasses(data) ? ['values'] : ['labels', 'values']
  const stray = losses.find((loss) => refused.some((reference) => comparesWith([loss], reference)))
  if (stray)
    throw new UserError(
      `transfer: loss '${stray.loss}' compares with targets that ${labels ? 'the samples without labels do not have' : 'labels: false leaves out'} — use losses with the teacher alone`,
    )
}

/** The losses that need no labels and no target values. */
export const lossesWithoutLabels = (losses: readonly LossOptions[]): LossOptions[] =>
  losses.filter((loss) => !comparesWith([loss], 'labels') && !comparesWith([loss], 'values'))

/**
 * Chooses the samples that a student is taught with; the teacher is asked only where a rule wants to know.
 *
 * The same data, options and seed give the same set. A set without samples is a {@link UserError}.
 */
export async function transferSet(
  splits: Splits,
  options: TransferOptions,
  asked: Asked,
): Promise<TransferSet> {
  checkTransfer(options, splits)
  const own = options.labels ? splits.train : withoutLabels(splits.train)
  const data = options.unlabelled ? joined(own, splits.unlabelled!) : own
  const pool = poolOf(data, asked)
  let left: Uint32Array = Uint32Array.from({ length: data.size }, (_, index) => index)
  const steps: string[] = []
  for (const rule of options.select) {
    left = await selectBy(rule, pool, left)
    const { text } = readRule(rule)
    if (left.length === 0)
      throw new UserError(`transfer.select: no sample is left: ${text} — choose less strictly`)
    steps.push(`${text}: ${left.length}`)
  }
  const chosen = left.length === data.size ? data : subset(data, left)
  const bare = chosen.labels.reduce((count, label) => count + Number(label < 0), 0)
  return {
    data: chosen,
    unlabelled: bare > 0,
    summary: [
      `taught with ${left.length} of ${data.size} samples`,
      ...(bare > 0 ? [`${bare} without labels`] : []),
      ...(steps.length > 1 || (steps.length === 1 && bare > 0)
        ? steps
        : options.select.map((rule) => readRule(rule).text)),
    ].join(', '),
    async classCounts() {
      const classes = await pool.classes()
      const counts = () => new Array<number>(data.classes.length).fill(0)
      const [all, used] = [counts(), counts()]
      for (let index = 0; index < own.size; index++)
        if (classes[index]! >= 0) all[classes[index]!]!++
      for (const index of left) if (classes[index]! >= 0) used[classes[index]!]!++
      return { all, used }
    },
  }
}

function poolOf(data: Dataset, { teacher, student, seed }: Asked): Pool {
  const once = (answers: Answers) => {
    let made: Promise<Decisions> | undefined
    return () => {
      made ??= answers(data).then(decisionsOf)
      return made
    }
  }
  const taught = once(teacher)
  return {
    data,
    seed,
    teacher: taught,
    student: once(student),
    async classes() {
      const { labels } = data
      if (labels.every((label) => label >= 0)) return labels
      const { classes } = await taught()
      return labels.map((label, index) => (label < 0 ? classes[index]! : label))
    },
  }
}
