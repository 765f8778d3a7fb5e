// How the answers of several teachers become one.
import { z } from 'zod'
import { logSoftmax } from '../../base/statistics.ts'
import type { TrainingBatch } from '../../train/settings.ts'
import type { AnswerForm, Panelist } from './panel.ts'
import { activeAmong, agreedOn, type Opinion, opinionOf } from './specialists.ts'

const average = (fallback: 'geometric' | 'arithmetic') =>
  z
    .enum(['geometric', 'arithmetic'])
    .default(fallback)
    .describe('Mean of the log-probabilities, or of the probabilities.')

/** Schema of how answers are combined. */
export const combineOptions = z
  .discriminatedUnion('by', [
    z.strictObject({
      by: z.literal('mean').describe('All teachers count alike (Hinton et al. 2015, section 3).'),
      average: average('geometric'),
    }),
    z.strictObject({
      by: z.literal('weighted').describe("Each teacher counts by its 'weight'."),
      average: average('geometric'),
    }),
    z.strictObject({
      by: z
        .literal('confidence')
        .describe(
          'For every sample the teachers count by how little they miss its label, or, where it has none, by how sure they are (Zhang et al. 2022, CA-MKD).',
        ),
      average: average('arithmetic'),
    }),
    z.strictObject({
      by: z
        .literal('best')
        .describe(
          'For every sample the teacher that misses its label least, or, where it has none, the surest one.',
        ),
    }),
    z.strictObject({
      by: z
        .literal('specialists')
        .describe(
          "The first teacher knows all classes, the others those of their 'classes' and how likely it is none of them (Hinton et al. 2015, section 5.3).",
        ),
      top: z
        .int()
        .min(1)
        .default(1)
        .describe(
          'Specialists are asked that know one of so many classes that the first teacher finds likeliest.',
        ),
    }),
  ])
  .default({ by: 'mean', average: 'geometric' })
  .describe('How the answers of several teachers become one.')

/** How answers are combined, resolved. */
export type CombineOptions = z.output<typeof combineOptions>

/** The mean of all. */
export const defaultCombination: CombineOptions = { by: 'mean', average: 'geometric' }

/** Combines answers, `[rows, width]` of each teacher, to `[rows, classes]`. */
export type Combination = (
  answers: readonly Float32Array[],
  batch: Pick<TrainingBatch, 'labels' | 'mix'>,
) => Float32Array

/**
 * Settles how these teachers are combined, which {@link checkCombination} has found to go together; `classes` is how
 * many numbers a row of the result has.
 *
 * Classes give log-probabilities, which are logits; the answers of a teacher that is alone stay as they are.
 */
export function combination(
  options: CombineOptions,
  panel: readonly Panelist[],
  form: AnswerForm,
  classes: number,
): Combination {
  if (panel.length === 1) return ([only]) => only!
  const row =
    form === 'classes' ? rowOfClasses(options, panel, classes) : rowOfValues(options, panel, form)
  return (answers, { labels, mix }) => {
    const rows = answers[0]!.length / panel[0]!.width
    const result = new Float32Array(rows * classes)
    const isLabelled = labels?.length === rows
    for (let index = 0; index < rows; index++) {
      const own = answers.map((values, member) => {
        const { width } = panel[member]!
        return values.subarray(index * width, (index + 1) * width)
      })
      const target: Target = {
        label: isLabelled ? labels[index]! : -1,
        ...(mix && isLabelled && { partner: mix.partners[index]!, share: mix.shares[index]! }),
      }
      result.set(row(own, target), index * classes)
    }
    return result
  }
}

/** What is right; a label below 0 is not known. */
interface Target {
  readonly label: number
  /** The label of the sample that was mixed in, and the share of the own one. */
  readonly partner?: number
  readonly share?: number
}

type Row = (answers: readonly Float32Array[], target: Target) => ArrayLike<number>

/** How rows of classes are combined, from the log-probabilities of every teacher. */
type Rule<Options> = (
  logs: readonly Float64Array[],
  target: Target,
  options: Options,
  weights: readonly number[],
) => Float64Array

type OptionsBy = { [By in CombineOptions['by']]: Extract<CombineOptions, { readonly by: By }> }

const rules: {
  readonly [By in Exclude<CombineOptions['by'], 'specialists'>]: Rule<OptionsBy[By]>
} = {
  mean: (logs, _target, options) => averageOf(logs, alike(logs.length), options.average),
  weighted: (logs, _target, options, weights) => averageOf(logs, weights, options.average),
  // Equation 3 of the paper: w = (1 - softmax(L)) / (K - 1), L the cross-entropy with the label.
  confidence(logs, target, options) {
    const missed = logs.map((log) => missOf(log, target))
    const shares = logSoftmax(missed).map(Math.exp)
    return averageOf(
      logs,
      Array.from(shares, (share) => (1 - share) / (logs.length - 1)),
      options.average,
    )
  },
  best(logs, target) {
    const missed = logs.map((log) => missOf(log, target))
    return logs[missed.indexOf(Math.min(...missed))]!
  },
}

const alike = (count: number): number[] => new Array<number>(count).fill(1 / count)

/** Cross-entropy with the label, or the entropy of what has none. */
function missOf(log: Float64Array, { label, partner, share = 1 }: Target): number {
  if (label < 0) return log.reduce((sum, value) => sum - Math.exp(value) * value, 0)
  const other = partner !== undefined && partner >= 0 ? (1 - share) * log[partner]! : 0
  return -share * log[label]! - other
}

/** The logarithm of a mean of distributions, by weights whose sum is 1. */
function averageOf(
  logs: readonly Float64Array[],
  weights: readonly number[],
  kind: 'geometric' | 'arithmetic',
): Float64Array {
  if (kind === 'geometric')
    return logSoftmax(
      logs[0]!.map((_, place) => logs.reduce((sum, log, k) => sum + weights[k]! * log[place]!, 0)),
    )
  return logs[0]!.map((_, place) => {
    const largest = Math.max(...logs.map((log) => log[place]!))
    const sum = logs.reduce((all, log, k) => all + weights[k]! * Math.exp(log[place]! - largest), 0)
    // A weight of 0 may leave nothing that can be told from 0.
    return largest + Math.log(Math.max(sum, Number.MIN_VALUE))
  })
}

function rowOfClasses(options: CombineOptions, panel: readonly Panelist[], classes: number): Row {
  if (options.by === 'specialists') return rowOfSpecialists(options.top, panel, classes)
  // The row and the options have the same name, which the compiler cannot tie together over a union.
  const rule = rules[options.by] as Rule<CombineOptions>
  const weights = sharesOf(panel)
  return (answers, target) => rule(answers.map(logSoftmax), target, options, weights)
}

function rowOfSpecialists(top: number, panel: readonly Panelist[], classes: number): Row {
  const specialists = panel.slice(1).map((member) => new Set(member.classes))
  return ([general, ...others]) => {
    const log = logSoftmax(general!)
    const active = activeAmong(specialists, log, top)
    if (active.length === 0) return log
    const opinions: Opinion[] = active.map((place) => {
      const { classes: own, sumsUp = false } = panel[place + 1]!
      return opinionOf(others[place]!, own!, classes, sumsUp)
    })
    return agreedOn(log.map(Math.exp), opinions).map(Math.log)
  }
}

/** Means of numbers; of a yes or no each in logits, or of its probability. */
function rowOfValues(options: CombineOptions, panel: readonly Panelist[], form: AnswerForm): Row {
  const weights = options.by === 'weighted' ? sharesOf(panel) : alike(panel.length)
  const mean = (answers: readonly ArrayLike<number>[]) => (place: number) =>
    answers.reduce((sum, values, k) => sum + weights[k]! * values[place]!, 0)
  const isArithmetic = form === 'binary' && 'average' in options && options.average === 'arithmetic'
  return (answers) => {
    if (!isArithmetic) return answers[0]!.map((_, place) => mean(answers)(place))
    const yes = answers.map((values) => Float64Array.from(values, (z) => 1 / (1 + Math.exp(-z))))
    const no = answers.map((values) => Float64Array.from(values, (z) => 1 / (1 + Math.exp(z))))
    return answers[0]!.map(
      (_, place) =>
        Math.log(Math.max(mean(yes)(place), 1e-30)) - Math.log(Math.max(mean(no)(place), 1e-30)),
    )
  }
}

const sharesOf = (panel: readonly Panelist[]): number[] => {
  const total = panel.reduce((sum, { weight }) => sum + weight, 0)
  return panel.map(({ weight }) => weight / total)
}
