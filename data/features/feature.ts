// What a feature is: how cells of a table become tensors that a model takes.
import type { z } from 'zod'
import type { Pixels } from '../images/pixels.ts'
import type { Row, TableColumn } from '../table.ts'

/** The type of the numbers as they are stored: bytes become floats by the model's preprocessing when they are read. */
export type StoredType = 'uint8' | 'float32' | 'int32'

/** A tensor that a feature makes of each row. */
export interface FeatureOutput {
  /**
   * What is added to the feature's name: '' for the only or main one, so that feature `text` gives `text` or
   * `text.attention_mask`.
   */
  readonly suffix: string
  readonly dtype: StoredType
  /** Shape of one sample; the same for all. Images are `[C, H, W]`. */
  readonly shape: readonly number[]
  /** For int32 numbers that are ids: how many different ones there are (the size of a vocabulary). */
  readonly ids?: number
}

/** The memory of a feature's outputs for one sample, one array each, all zeros. */
export type FeatureMemory = readonly (Uint8Array | Float32Array | Int32Array)[]

/** A feature made ready for a table: what it learned is settled. */
export interface Encoder {
  readonly outputs: readonly FeatureOutput[]
  /**
   * Writes the tensors of a row.
   *
   * What cannot be made of it is a `UserError` that names column, value and what to do; the caller adds the place.
   */
  encode(row: Row, into: FeatureMemory): void | Promise<void>
  /** For text of given words: the number of the word at each position of the output, -1 where there is none. */
  align?(row: Row): Int32Array
}

/** What people see or hear of a sample: as it was before it became numbers for a model. */
export type Shown =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'image'; readonly pixels: Pixels }
  /** Full scale is -1..1; the rate is in Hz. */
  | { readonly kind: 'sound'; readonly samples: Float64Array; readonly rate: number }

/** Learns from the rows of the training split alone, one at a time. */
export interface Learner<Learned> {
  observe(row: Row): void | Promise<void>
  finish(): Learned
}

/** What a feature is told of its table. */
export interface FeatureContext {
  readonly columns: readonly TableColumn[]
  /** Columns that hold what is to be predicted; `columns: auto` leaves them out. */
  readonly targets: readonly string[]
  /** The folder of the table's files, which paths in its cells are relative to; undefined where there is none. */
  readonly folder?: string | undefined
  /** The folder of the model whose tokenizer may be meant; undefined where there is none. */
  readonly modelFolder?: string | undefined
}

/**
 * A kind of feature, one row of the table of features.
 *
 * `Learned` is JSON: it is kept with the prepared data and written beside the models, for whoever deploys them must
 * prepare inputs the same way. It is null for kinds that learn nothing.
 */
export interface Feature<Options extends z.ZodObject = z.ZodObject, Learned = unknown> {
  /** One line for people. */
  readonly summary: string
  /** Has the literal `kind` that names it. */
  readonly options: Options
  /** The columns that it reads; one that the table lacks is a `UserError`. */
  columns(options: z.output<Options>, context: FeatureContext): readonly string[]
  /** Absolute paths of the files that it reads besides the table: what is prepared depends on their content, too. */
  files?(options: z.output<Options>, context: FeatureContext): readonly string[]
  /** Absent for kinds that learn nothing. */
  readonly learn?: (
    options: z.output<Options>,
    context: FeatureContext,
  ) => Learner<Learned> | Promise<Learner<Learned>>
  /** Settles everything; `learned` is what a learner finished with, perhaps read from a file. */
  prepare(
    options: z.output<Options>,
    learned: Learned,
    context: FeatureContext,
  ): Encoder | Promise<Encoder>
  /** Gives what people see of a row; absent for kinds that have nothing to show, undefined for a row that has nothing. */
  show?(
    options: z.output<Options>,
    learned: Learned,
    context: FeatureContext,
  ): (row: Row) => Shown | undefined | Promise<Shown | undefined>
}

/** The identity; it exists so that the functions see the types of options and of what is learned. */
export function defineFeature<Options extends z.ZodObject, Learned = null>(
  feature: Feature<Options, Learned>,
): Feature<Options, Learned> {
  return feature
}

/** The named cells of a row as a line of text. */
export function cellsText(
  columns: readonly TableColumn[],
  names: readonly string[],
  row: Row,
): Shown {
  const parts = names.map((name) => {
    const cell = row[columnAt(columns, name)]
    return `${name}: ${typeof cell === 'number' || typeof cell === 'string' ? cell : '–'}`
  })
  return { kind: 'text', text: parts.join(', ') }
}

/** The position of a named column; one that is not there is an internal error, for `columns` was asked before. */
export function columnAt(columns: readonly TableColumn[], name: string): number {
  const at = columns.findIndex((column) => column.name === name)
  if (at < 0) throw new Error(`internal: no column '${name}'`)
  return at
}
