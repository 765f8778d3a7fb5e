// What is to be predicted of a sample, by kind: how cells become labels and target numbers.
import { UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { DamagedError } from './damaged.ts'
import { columnAt, type Encoder } from './features/feature.ts'
import type { Cell, ColumnType, Row, Table } from './table.ts'

/** What the data says of each sample: one class, a set of classes, values, a class a position, relevance, or nothing. */
export type TargetKind = 'class' | 'classes' | 'values' | 'tags' | 'relevance' | 'none'

/** Targets made ready for a table. */
export interface Targets {
  readonly kind: TargetKind
  /** Names of the classes; empty where there are none. */
  readonly classes: readonly string[]
  /** What the numbers of a sample are called, where they have names. */
  readonly names: readonly string[]
  /** The class of a row; 0 where rows have no single class. */
  label(row: Row): number
  /** The numbers besides the label, once it is known what the features make of a row. */
  numbers(encoders: readonly Encoder[]): TargetNumbers
}

/** The target numbers of rows. */
export interface TargetNumbers {
  /** Numbers a sample; 0 where the label is all. */
  readonly width: number
  encode(row: Row, into: Float32Array): void
}

/** How targets are read. */
export interface TargetOptions {
  readonly kind: TargetKind
  /** The columns that hold them. */
  readonly columns: readonly string[]
  /** Values are divided by this. */
  readonly scale: number
}

/** What stands between the classes of a set in one text. */
const separator = /\s*[|;,]\s*/

/**
 * Makes the targets of a table ready, going through the rows of its training part where classes are to be found.
 *
 * Missing columns, classes that cannot be told and the like are a {@link UserError}.
 */
export async function readTargets(table: Table, options: TargetOptions): Promise<Targets> {
  const { kind } = options
  const columns = kind === 'none' ? [] : targetColumns(table, options)
  const places = columns.map((name) => columnAt(table.columns, name))
  const nothing: TargetNumbers = { width: 0, encode: () => undefined }
  const plain: Targets = { kind, classes: [], names: [], label: () => 0, numbers: () => nothing }
  switch (kind) {
    case 'none':
      return plain
    case 'class': {
      const [at = 0] = places
      const classes = table.classes ?? (await classesIn(table, (row) => [row[at] ?? null]))
      const numbers = numbersOf(classes)
      const label = (row: Row) => classOf(row[at] ?? null, columns[0]!, numbers, table.classes)
      return { ...plain, classes, label }
    }
    case 'classes': {
      if (places.length > 1 || isVector(table, places))
        return indicators(plain, await numbersIn(table, columns, places))
      const [at = 0] = places
      const classes = table.classes ?? (await classesIn(table, (row) => setOf(row[at] ?? null)))
      const numbers = numbersOf(classes)
      return {
        ...plain,
        classes,
        numbers: () => ({
          width: classes.length,
          encode(row, into) {
            for (const cell of setOf(row[at] ?? null))
              into[classOf(cell, columns[0]!, numbers, table.classes)] = 1
          },
        }),
      }
    }
    case 'values':
    case 'relevance': {
      const read = await numbersIn(table, columns, places)
      return {
        ...plain,
        names: read.names,
        numbers: () => ({
          width: read.names.length,
          encode(row, into) {
            read.write(row, into)
            for (const [index, value] of into.entries()) into[index] = value / options.scale
          },
        }),
      }
    }
    case 'tags':
      return await tags(plain, table, columns[0]!)
  }
}

function targetColumns(table: Table, { kind, columns }: TargetOptions): readonly string[] {
  const names = table.columns.map(({ name }) => name)
  const usual =
    kind === 'relevance' ? ['relevance'] : ['label', 'labels', 'target', 'tags', 'score']
  const found =
    columns.length > 0
      ? columns
      : [table.label ?? usual.find((name) => names.includes(name)) ?? ''].filter(Boolean)
  if (found.length === 0)
    throw new UserError(
      `data.target: nothing says which column is to be predicted: there are ${names.map((name) => `'${name}'`).join(', ')} — name one`,
    )
  const missing = found.find((name) => !names.includes(name))
  if (missing !== undefined)
    throw new UserError(
      `data.target: the data has no column '${missing}' — ${suggest(missing, names)}`,
    )
  if (found.length > 1 && (kind === 'class' || kind === 'tags' || kind === 'relevance'))
    throw new UserError(
      `data.target: this task has one column to predict: ${found.length} are named — name one, or choose task multi-label or regression`,
    )
  return found
}

/** Names of all classes in the training part: numbers by value, texts by their characters. */
async function classesIn(table: Table, cellsOf: (row: Row) => readonly Cell[]): Promise<string[]> {
  const found = new Set<string>()
  let numeric = true
  let largest = -1
  for await (const row of table.train.rows())
    for (const cell of cellsOf(row)) {
      const name = nameOf(cell)
      if (name === undefined) continue
      const value = Number(name)
      if (!/^(?:0|[1-9]\d{0,8})$/.test(name)) numeric = false
      else largest = Math.max(largest, value)
      found.add(name)
      if (found.size > mostClasses)
        throw new UserError(
          `data.target: more than ${mostClasses} different classes — name a column with classes, or choose task regression`,
        )
    }
  if (found.size === 0)
    throw new UserError(`${table.train.where}: no sample has a class — check data.target`)
  // Numbers are their own places in the outputs, so that classes that are absent keep theirs.
  if (numeric && largest < mostClasses) return Array.from({ length: largest + 1 }, (_, n) => `${n}`)
  return [...found].sort()
}

const mostClasses = 100_000

const numbersOf = (classes: readonly string[]) =>
  new Map(classes.map((name, index) => [name, index]))

const nameOf = (cell: Cell): string | undefined =>
  typeof cell === 'string' ? cell : typeof cell === 'number' ? String(cell) : undefined

/** The number of a class; where the format names them, cells may be numbers already. */
function classOf(
  cell: Cell,
  column: string,
  numbers: ReadonlyMap<string, number>,
  given: readonly string[] | undefined,
): number {
  const name = nameOf(cell)
  const known = name === undefined ? undefined : numbers.get(name)
  if (known !== undefined && !(given && typeof cell === 'number')) return known
  if (given && typeof cell === 'number') {
    if (Number.isInteger(cell) && cell >= 0 && cell < given.length) return cell
    throw new DamagedError(
      `column '${column}': label is none of the ${given.length} classes: ${cell} — labels are 0 to ${given.length - 1}; correct the labels or name the classes`,
    )
  }
  if (name === undefined)
    throw new DamagedError(
      `column '${column}': no class: ${describe(cell)} — give the sample a class, leave it out, or use damaged: skip`,
    )
  throw new DamagedError(
    `column '${column}': a class that the training data does not have: '${name.slice(0, 40)}' — ${suggest(name, [...numbers.keys()].slice(0, 1000))}`,
  )
}

/** The classes of a set: a list, or texts with a separator; nothing is the empty set. */
function setOf(cell: Cell): readonly Cell[] {
  if (cell === null || cell === '') return []
  if (typeof cell === 'string') return cell.split(separator).filter((name) => name !== '')
  return Array.isArray(cell) ? (cell as readonly Cell[]) : [cell]
}

/** Numbers of a row: one a column, or those of the one column that holds several. */
interface Numbers {
  readonly names: readonly string[]
  write(row: Row, into: Float32Array): void
}

/** Whether the targets are one column of tensors (or, for values, lists). */
const isVector = (
  { columns }: Table,
  places: readonly number[],
  types: readonly ColumnType[] = ['tensor'],
) => places.length === 1 && types.includes(columns[places[0]!]!.type)

async function numbersIn(
  table: Table,
  columns: readonly string[],
  places: readonly number[],
): Promise<Numbers> {
  if (!isVector(table, places, ['tensor', 'list']))
    return {
      names: columns,
      write(row, into) {
        for (const [index, at] of places.entries())
          into[index] = numberIn(row[at] ?? null, columns[index]!)
      },
    }
  const [column = ''] = columns
  const cellsOf = (row: Row) => vectorIn(row[places[0]!] ?? null, column)
  const width = await firstLength(table, cellsOf)
  return {
    names: Array.from({ length: width }, (_, index) => `${column}${index}`),
    write(row, into) {
      const cells = cellsOf(row)
      if (cells.length !== width)
        throw new DamagedError(
          `column '${column}': ${cells.length} numbers where the first row has ${width} — mend the data`,
        )
      for (const [index, cell] of cells.entries()) into[index] = numberIn(cell, column)
    },
  }
}

async function firstLength(table: Table, cellsOf: (row: Row) => readonly Cell[]): Promise<number> {
  for await (const row of table.train.rows()) return cellsOf(row).length
  throw new UserError(`${table.train.where}: holds no samples — check the file`)
}

function vectorIn(cell: Cell, column: string): readonly Cell[] {
  if (Array.isArray(cell)) return cell as readonly Cell[]
  if (isTensor(cell)) return Array.from(cell.values as ArrayLike<number>)
  throw new DamagedError(
    `column '${column}': no list of numbers: ${describe(cell)} — mend the data, or use damaged: skip`,
  )
}

/** A number a class, 0 or 1. */
function indicators(plain: Targets, { names, write }: Numbers): Targets {
  return {
    ...plain,
    classes: names,
    numbers: () => ({
      width: names.length,
      encode(row, into) {
        write(row, into)
        const at = into.findIndex((value) => value !== 0 && value !== 1)
        if (at >= 0)
          throw new DamagedError(
            `column '${names[at]}': neither 0 nor 1: ${into[at]} — a column for each class holds 0 or 1`,
          )
      },
    }),
  }
}

/** A class a word, at the position of the word's first token; -1 elsewhere. */
async function tags(plain: Targets, table: Table, column: string): Promise<Targets> {
  const at = columnAt(table.columns, column)
  const listOf = (row: Row): readonly Cell[] | undefined => {
    const cell = row[at] ?? null
    if (Array.isArray(cell)) return cell as readonly Cell[]
    return isTensor(cell) ? Array.from(cell.values as ArrayLike<number>) : undefined
  }
  const tagsOf = (row: Row): readonly Cell[] => {
    const tags = listOf(row)
    if (tags) return tags
    throw new DamagedError(
      `column '${column}': not a list of tags: ${describe(row[at] ?? null)} — give a list`,
    )
  }
  // What is no list is told with its place when the row is encoded.
  const classes = table.classes ?? (await classesIn(table, (row) => listOf(row) ?? []))
  const numbers = numbersOf(classes)
  return {
    ...plain,
    classes,
    numbers(encoders) {
      const encoder = encoders.find(({ align }) => align) ?? encoders[0]
      const [output] = encoder?.outputs ?? []
      if (!encoder || !output)
        throw new UserError('data.features: tagging needs a feature with positions — add one')
      const width = output.shape[0] ?? 1
      return {
        width,
        encode(row, into) {
          const cells = tagsOf(row)
          const words = encoder.align?.(row)
          for (let position = 0; position < width; position++) {
            const word = words ? words[position]! : position
            const counts = word >= 0 && word < cells.length
            into[position] = counts
              ? classOf(cells[word]!, column, numbers, table.classes)
              : uncounted
          }
        },
      }
    },
  }
}

/** The class of a position that does not count. */
const uncounted = -1

const isTensor = (cell: Cell): cell is Extract<Cell, { values: unknown }> =>
  typeof cell === 'object' && cell !== null && 'values' in cell && 'shape' in cell

function numberIn(cell: Cell, column: string): number {
  if (typeof cell === 'number' && Number.isFinite(cell)) return cell
  throw new DamagedError(
    `column '${column}': not a number: ${describe(cell)} — correct it, or use damaged: skip`,
  )
}

function describe(cell: Cell): string {
  if (cell === null) return 'it is missing'
  if (typeof cell === 'string') return `'${cell.slice(0, 40)}'`
  return typeof cell === 'number' ? String(cell) : 'another kind of value'
}

/** The columns that a recipe, or else the format, says are to be predicted; empty where the task has none. */
export function targetNames(table: Table, options: TargetOptions): readonly string[] {
  return options.kind === 'none' ? [] : targetColumns(table, options)
}
