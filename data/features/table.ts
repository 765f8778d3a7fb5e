// Several columns of a table as one vector: standardised numbers and one-hot categories.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Row } from '../table.ts'
import { type Categories, categoriesCollector, categoryOf } from './categories.ts'
import { columnNamed, float32Of, log1p, numberOf } from './columns.ts'
import { cellsText, columnAt, defineFeature, type FeatureContext } from './feature.ts'
import { type Moments, momentsCollector } from './moments.ts'

type Learned = readonly ({ readonly column: string } & (LearnedNumbers | LearnedCategories))[]

/** What was learned of a column of numbers. */
export interface LearnedNumbers extends Moments {
  readonly type: 'number'
  readonly hasMissing: boolean
}

/** What was learned of a column of categories. */
export interface LearnedCategories extends Categories {
  readonly type: 'category'
}

const options = z.strictObject({
  kind: z.literal('table').describe('Several columns as one vector.'),
  columns: z
    .union([z.literal('auto'), z.array(z.string()).min(1)])
    .default('auto')
    .describe('Columns in their order; auto takes all of numbers and texts but the targets.'),
  categories: z
    .array(z.string())
    .default([])
    .describe('Columns of numbers whose values are names of categories.'),
  standardise: z
    .boolean()
    .default(true)
    .describe(
      'Shifts and scales numbers to mean 0 and standard deviation 1 in the training split.',
    ),
  log: z
    .array(z.string())
    .default([])
    .describe('Columns of which log(1 + x) is taken first, for long-tailed amounts.'),
  missing: z
    .enum(['indicator', 'mean'])
    .default('indicator')
    .describe(
      'A missing number becomes the mean and a missing category no category; indicator adds a 0 or 1 for columns that miss cells in the training split.',
    ),
  maximum: z
    .int()
    .min(1)
    .default(100)
    .describe('So many categories of a column, the most frequent ones, have places of their own.'),
  minimumCount: z
    .int()
    .min(1)
    .default(1)
    .describe('Categories that training has less often share the place of the others.'),
})

type Options = z.output<typeof options>

/**
 * float32 `[width]`: the columns' places one behind the other.
 *
 * A number has one place, a category one for each that training knows and one for all others *if
 * training has others* (rare ones, beyond the maximum): a place that training never fills would
 * have weights that nobody trained, so an unseen category is all zeros otherwise. With `missing:
 * indicator`, a last place tells where a cell is missing, for columns that miss some in training.
 * All is learned from the training split: mean, population standard deviation (1 where a column is
 * constant), categories.
 */
export const table = defineFeature({
  summary: 'A vector of columns: standardised numbers, one-hot categories, missing values told',
  options,
  columns(options, context) {
    const names = chosen(options, context)
    const target = names.find((name) => context.targets.includes(name))
    if (target !== undefined)
      throw new UserError(
        `data.features: column '${target}' is the target — take it off the feature's columns`,
      )
    for (const name of [...names, ...options.categories, ...options.log]) {
      const { type } = columnNamed(context.columns, name, ['number', 'text'])
      if (!names.includes(name))
        throw new UserError(
          `data.features: column '${name}' is not among the columns of the feature — add it`,
        )
      if (options.log.includes(name) && (type === 'text' || options.categories.includes(name)))
        throw new UserError(
          `data.features: no logarithm of the categories of column '${name}' — take it off 'log'`,
        )
    }
    return names
  },
  learn(options, context) {
    const collectors = chosen(options, context).map((name) => collectorOf(name, options, context))
    return {
      observe(row) {
        for (const { add } of collectors) add(row)
      },
      finish: (): Learned => collectors.map(({ finish }) => finish()),
    }
  },
  show(options, _learned, context) {
    const names = chosen(options, context)
    return (row) => cellsText(context.columns, names, row)
  },
  prepare(options, learned: Learned, context) {
    let width = 0
    const writers = learned.map((column) => {
      const places = placesOf(column, options)
      const start = width
      width += places
      return writerOf(column, options, context, start, start + places - 1)
    })
    if (width === 0)
      throw new UserError('data.features: the columns have no value in training — check the data')
    return {
      outputs: [{ suffix: '', dtype: 'float32', shape: [width] }],
      encode(row, [into]) {
        into!.fill(0)
        for (const write of writers) write(row, into as Float32Array)
      },
    }
  },
})

function chosen(options: Options, { columns, targets }: FeatureContext): readonly string[] {
  if (options.columns !== 'auto') {
    const twice = options.columns.find((name, index, all) => all.indexOf(name) !== index)
    if (twice !== undefined)
      throw new UserError(`data.features: column '${twice}' is named twice — name it once`)
    return options.columns
  }
  const names = columns
    .filter(({ name, type }) => (type === 'number' || type === 'text') && !targets.includes(name))
    .map(({ name }) => name)
  if (names.length === 0)
    throw new UserError(
      'data.features: no column of numbers or texts besides the target — choose another kind of feature',
    )
  return names
}

function collectorOf(column: string, options: Options, { columns }: FeatureContext) {
  const at = columnAt(columns, column)
  if (columns[at]!.type === 'text' || options.categories.includes(column)) {
    const { add, finish } = categoriesCollector(column)
    return {
      add: (row: Row) => add(row[at]!),
      finish: () => ({
        column,
        type: 'category' as const,
        ...finish(options.maximum, options.minimumCount),
      }),
    }
  }
  const { add, finish } = momentsCollector()
  const isLog = options.log.includes(column)
  let hasMissing = false
  return {
    add(row: Row) {
      const value = numberOf(row[at], column)
      if (value === null) hasMissing = true
      else add(isLog ? log1p(value, column) : value)
    },
    finish: () => ({ column, type: 'number' as const, ...finish(), hasMissing }),
  }
}

function placesOf(column: Learned[number], { missing }: Options): number {
  const own = column.type === 'number' ? 1 : column.categories.length + Number(column.hasOthers)
  return own + Number(missing === 'indicator' && column.hasMissing)
}

type Writer = (row: Row, into: Float32Array) => void

/** Fills the places from `start` to `last`; they are zeros beforehand. */
function writerOf(
  learned: Learned[number],
  options: Options,
  { columns }: FeatureContext,
  start: number,
  last: number,
): Writer {
  const { column } = learned
  const at = columnAt(columns, column)
  const isTold = options.missing === 'indicator' && learned.hasMissing
  if (learned.type === 'category') {
    const placeOf = new Map(learned.categories.map((name, index) => [name, start + index]))
    const others = learned.hasOthers ? start + learned.categories.length : undefined
    return (row, into) => {
      const name = categoryOf(row[at]!, column)
      const place = name === undefined ? (isTold ? last : undefined) : (placeOf.get(name) ?? others)
      if (place !== undefined) into[place] = 1
    }
  }
  const { mean, std } = learned
  const isLog = options.log.includes(column)
  return (row, into) => {
    const cell = numberOf(row[at], column)
    const value = cell === null ? mean : isLog ? log1p(cell, column) : cell
    into[start] = float32Of(options.standardise ? (value - mean) / std : value, column)
    if (cell === null && isTold) into[last] = 1
  }
}
