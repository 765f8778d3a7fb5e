// Bias correction (Hinton, Vinyals and Dean 2015, sections 3 and 5.1): what is added to the logits of classes that the
// transfer set lacked, or had in other proportions, so that the student says them as often as it should.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { logSoftmax } from '../../base/statistics.ts'
import type { Dataset, Splits } from '../../data/dataset.ts'
import type { Model } from '../../onnx/graph.ts'
import { allFinite } from '../../tasks/predictions.ts'
import type { Predictions } from '../../tasks/task.ts'
import { answersOf } from '../answers.ts'
import type { StageContext } from '../stage.ts'
import { classNumbers } from './selection.ts'
import { shiftLogits } from './shift-logits.ts'
import { type ClassCounts, hasClasses } from './transfer.ts'

const forms = [
  z.strictObject({
    classes: z.array(z.string()).min(1).describe('The classes whose logits are changed, by name.'),
    by: z
      .union([z.number().min(-100).max(100), z.literal('auto')])
      .default('auto')
      .describe(
        "What is added; auto: such that over the validation samples their mean probability is the teacher's.",
      ),
  }),
  z.strictObject({
    prior: z
      .literal(true)
      .describe(
        "Adds the logarithm of each class's share of all training samples over its share of the transfer set.",
      ),
  }),
] as const

/** Schema of the bias correction. */
export const biasOptions = z
  .union(forms, { error: "expected { classes: ['3'], by: auto }, or { prior: true }" })
  .describe('What is added to the logits of classes after the training.')

/** Resolved options of the bias correction. */
export type BiasOptions = z.output<typeof biasOptions>

/** A corrected model, and one line for people. */
export interface Corrected {
  readonly model: Model
  readonly summary: string
}

/** Refuses what cannot be done with this data, before anything runs. */
export function checkBias(options: BiasOptions, { train }: Splits): void {
  if (!hasClasses(train))
    throw new UserError(
      `bias: is for samples of one class each, which those of ${train.source} are not — leave it out`,
    )
  if ('classes' in options) classNumbers(train, options.classes, 'bias.classes')
}

/**
 * Gives a copy of a classifier with something added to the logits of classes.
 *
 * `auto` makes the mean probability of each named class over the validation samples equal to the teacher's; it needs no
 * labels. `prior` needs the counts of the transfer set. What cannot be done is a {@link UserError}.
 */
export async function correctBias(
  model: Model,
  options: BiasOptions,
  data: Splits,
  context: Pick<StageContext, 'teacher' | 'task' | 'threads' | 'provider' | 'signal'>,
  counts?: () => Promise<ClassCounts>,
): Promise<Corrected> {
  checkBias(options, data)
  const { classes, source } = data.train
  const shift = new Array<number>(classes.length).fill(0)
  if ('prior' in options) {
    if (!counts)
      throw new UserError(
        'bias.prior: all training samples are taught with, each class as often as there is — leave it out, or choose samples by transfer.select',
      )
    for (const [index, value] of priorShift(await counts()).entries()) shift[index] = value
  } else {
    const numbers = classNumbers(data.train, options.classes, 'bias.classes')
    const { by } = options
    const values =
      by === 'auto'
        ? await matchedShift(model, numbers, data.validation, context)
        : numbers.map(() => by)
    for (const [place, index] of numbers.entries()) shift[index] = values[place]!
  }
  const changed = shift.flatMap((value, index) =>
    value === 0 ? [] : [`${signed(value)} to '${classes[index]}'`],
  )
  const named = changed.slice(0, mostNamed).join(', ')
  return {
    model: changed.length === 0 ? model : shiftLogits(model, shift, source),
    summary:
      changed.length === 0
        ? 'nothing added to the logits'
        : `added to the logits: ${named}${changed.length > mostNamed ? ', …' : ''}`,
  }
}

const mostNamed = 5

const signed = (value: number): string => `${value < 0 ? '' : '+'}${value.toFixed(2)}`

/**
 * The logarithm of each class's share of all samples over its share of those that were used (Hinton et al. 2015, section
 * 5.1); 0 for a class that either lacks, of which no proportion can be told.
 */
export function priorShift({ all, used }: ClassCounts): number[] {
  const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0)
  const [whole, part] = [total(all), total(used)]
  return all.map((count, index) => {
    const own = used[index]!
    return count === 0 || own === 0 ? 0 : Math.log(count / whole / (own / part))
  })
}

/** What makes the mean probability of some classes over these samples equal to the teacher's. */
async function matchedShift(
  model: Model,
  numbers: readonly number[],
  samples: Dataset,
  context: Parameters<typeof correctBias>[3],
): Promise<number[]> {
  const theirs = await answersOf(context.teacher, samples, context, { where: 'teacher' })
  const targets = meanProbabilities(theirs, numbers)
  const names = numbers.map((number) => samples.classes[number]!)
  return matchMeans(
    await answersOf(model, samples, context, { where: 'student' }),
    numbers,
    targets,
    names,
  )
}

/** The mean probability of some classes over the samples of which something is said; 0 where nothing is. */
export function meanProbabilities(answers: Predictions, numbers: readonly number[]): number[] {
  const sums = numbers.map(() => 0)
  let count = 0
  for (let index = 0; index < answers.size; index++) {
    const row = answers.row(index)
    if (!allFinite(row)) continue
    count++
    const logarithms = logSoftmax(row)
    for (const [place, number] of numbers.entries()) sums[place]! += Math.exp(logarithms[number]!)
  }
  return sums.map((sum) => sum / Math.max(1, count))
}

/** Shifts beyond this say that there is no right one. */
const furthest = 100

/**
 * Finds what added to the logits of some classes makes their mean probabilities these.
 *
 * With bₖ added, that of class c is the mean of p_c e^(b_c) / (rest + Σₖ pₖ e^(bₖ)). Each grows with its own shift and
 * falls with the others, and the shifts are the minimum of the convex Σ log(rest + Σₖ pₖ e^(bₖ)) - n Σₖ tₖ bₖ, so that
 * settling one after the other by bisection arrives at it.
 */
export function matchMeans(
  answers: Predictions,
  numbers: readonly number[],
  targets: readonly number[],
  names: readonly string[] = numbers.map(String),
): number[] {
  const named = new Set(numbers)
  const rows: { readonly rest: number; readonly own: readonly number[] }[] = []
  for (let index = 0; index < answers.size; index++) {
    const row = answers.row(index)
    if (!allFinite(row)) continue
    const logarithms = logSoftmax(row)
    let rest = 0
    for (const [number, value] of logarithms.entries())
      if (!named.has(number)) rest += Math.exp(value)
    rows.push({ rest, own: numbers.map((number) => Math.exp(logarithms[number]!)) })
  }
  if (rows.length === 0)
    throw new UserError(
      "bias.by: the student's outputs are not finite for any validation sample — train it otherwise",
    )
  const shifts = numbers.map(() => 0)
  const meanOf = (place: number, others: Float64Array, shift: number) => {
    const factor = Math.exp(shift)
    let sum = 0
    for (const [index, { own }] of rows.entries()) {
      const mine = own[place]! * factor
      // Without any probability anywhere it would be 0 / 0.
      if (mine > 0) sum += mine / (others[index]! + mine)
    }
    return sum / rows.length
  }
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let moved = 0
    for (const [place, target] of targets.entries()) {
      const others = Float64Array.from(rows, ({ rest, own }) =>
        own.reduce((sum, p, at) => (at === place ? sum : sum + p * Math.exp(shifts[at]!)), rest),
      )
      let [low, high] = [-furthest, furthest]
      for (let step = 0; step < bisections; step++) {
        const middle = (low + high) / 2
        if (meanOf(place, others, middle) < target) low = middle
        else high = middle
      }
      const shift = (low + high) / 2
      if (Math.abs(shift) > furthest - 1)
        throw new UserError(
          `bias.by: no shift makes class '${names[place]}' as likely as the teacher says: ${target} — give a number`,
        )
      moved = Math.max(moved, Math.abs(shift - shifts[place]!))
      shifts[place] = shift
    }
    if (moved < settledBelow) break
  }
  return shifts
}

const mostSweeps = 200
const bisections = 48
const settledBelow = 1e-6
