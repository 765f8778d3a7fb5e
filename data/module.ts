// A data set that a module of the user's own makes.
import { pathToFileURL } from 'node:url'
import { messageOf, UserError } from '../base/errors.ts'
import type { Cell, ColumnType, Part, Row, Table } from './table.ts'

/** A sample as a module gives it: cells by the name of their column; what is left out is missing. */
export type ModuleRow = Readonly<Record<string, Cell | undefined>>

/** Samples: something that can be gone through again and again, or a function that starts anew. */
export type ModuleRows =
  | AsyncIterable<ModuleRow>
  | Iterable<ModuleRow>
  | (() => AsyncIterable<ModuleRow> | Iterable<ModuleRow>)

/**
 * What a data module exports, each by its name; `source: ./my-data.mjs` in a recipe.
 *
 * Rows must be the same ones in the same order each time: they are gone through several times, and never kept.
 *
 * @example
 * export const classes = ['cat', 'dog']
 * export async function* train() {
 *   for (const { pixels, label } of myImages)
 *     yield { image: { shape: [3, 32, 32], values: pixels }, label } // values: Uint8Array
 * }
 */
export interface DataModule {
  readonly train: ModuleRows
  /** Held out of the training samples where it is not there. */
  readonly validation?: ModuleRows
  /** Held out of the training samples where it is not there. */
  readonly test?: ModuleRows
  /** Names of the classes in the order of their numbers. */
  readonly classes?: readonly string[]
  /** The column with the label; `label` unless told. */
  readonly label?: string
}

const parts = ['train', 'validation', 'test'] as const

/** Imports the module, which runs its code; an export that is not as {@link DataModule} has it is a {@link UserError}. */
export async function openModule(path: string): Promise<Table> {
  let exported: Partial<Record<keyof DataModule, unknown>>
  try {
    exported = (await import(pathToFileURL(path).href)) as typeof exported
  } catch (thrown) {
    throw new UserError(
      `${path}: the module cannot be loaded: ${messageOf(thrown).split('\n')[0]} — correct it there`,
      { cause: thrown },
    )
  }
  const rows = new Map(
    parts.flatMap((name) => {
      const given = exported[name]
      return given === undefined ? [] : [[name, rowsOf(path, name, given)] as const]
    }),
  )
  const train = rows.get('train')
  if (!train)
    throw new UserError(
      `${path}: exports no 'train' — export a function that gives the training samples, as an async generator`,
    )
  const names = await columnsOf(path, train)
  const columns = [...names].map(([name, type]) => ({ name, type }))
  const part = (name: (typeof parts)[number]): Part | undefined => {
    const start = rows.get(name)
    return start && partOf(path, name, start, names)
  }
  const [validation, test] = [part('validation'), part('test')]
  const { classes, label } = exported
  return {
    columns,
    train: partOf(path, 'train', train, names),
    ...(validation && { validation }),
    ...(test && { test }),
    ...(classes !== undefined && { classes: textsOf(path, classes) }),
    label: label === undefined ? 'label' : String(label),
  }
}

type Start = () => AsyncIterable<unknown> | Iterable<unknown>

function rowsOf(path: string, name: string, given: unknown): Start {
  if (typeof given === 'function') return given as Start
  if (isIterable(given) && !('next' in given)) return () => given
  throw new UserError(
    `${path}: '${name}' is neither a list, an iterable nor a function: ${typeof given} — what can be gone through once alone is not enough; export the generator function itself`,
  )
}

/** Has a beginning to start from; generators, which have `next`, cannot start again. */
const isIterable = (given: unknown): given is AsyncIterable<unknown> | Iterable<unknown> =>
  typeof given === 'object' &&
  given !== null &&
  (Symbol.asyncIterator in given || Symbol.iterator in given)

function textsOf(path: string, classes: unknown): string[] {
  if (Array.isArray(classes) && classes.length > 0 && classes.every((c) => typeof c === 'string'))
    return classes
  throw new UserError(`${path}: 'classes' is not a list of names — export the names as texts`)
}

/** The columns of the first samples; later ones may not bring others. */
async function columnsOf(path: string, start: Start): Promise<Map<string, ColumnType>> {
  const types = new Map<string, ColumnType>()
  let rows = 0
  for await (const row of started(path, 'train', start)) {
    for (const [name, cell] of Object.entries(row))
      if (cell !== undefined && cell !== null && !types.has(name))
        types.set(name, typeOf(path, name, cell))
    if (++rows === lookedAt) break
  }
  if (rows === 0) throw new UserError(`${path}: 'train' gives no samples — check the module`)
  return types
}

/** So many samples tell what the columns are. */
const lookedAt = 100

function typeOf(path: string, name: string, cell: unknown): ColumnType {
  if (typeof cell === 'number') return 'number'
  if (typeof cell === 'string') return 'text'
  if (cell instanceof Uint8Array) return 'bytes'
  if (Array.isArray(cell)) return 'list'
  if (typeof cell === 'object' && cell !== null) {
    if ('shape' in cell && 'values' in cell && ArrayBuffer.isView(cell.values)) return 'tensor'
    if ('path' in cell && typeof cell.path === 'string') return 'file'
  }
  throw new UserError(
    `${path}: column '${name}' holds what is no cell: ${typeof cell} — give a number, text, list, bytes, { path } or { shape, values }`,
  )
}

async function* started(path: string, name: string, start: Start): AsyncGenerator<ModuleRow> {
  try {
    for await (const row of start()) {
      if (typeof row !== 'object' || row === null || Array.isArray(row))
        throw new UserError(
          `${path}: '${name}' gives what is no sample: ${typeof row} — give objects of cells by column`,
        )
      yield row as ModuleRow
    }
  } catch (thrown) {
    if (thrown instanceof UserError) throw thrown
    throw new UserError(
      `${path}: '${name}' failed: ${messageOf(thrown).split('\n')[0]} — correct the module`,
      { cause: thrown },
    )
  }
}

function partOf(
  path: string,
  name: string,
  start: Start,
  types: ReadonlyMap<string, ColumnType>,
): Part {
  const where = `${path}: ${name}`
  const names = [...types.keys()]
  return {
    where,
    async *rows(): AsyncGenerator<Row> {
      for await (const row of started(path, name, start)) {
        const stray = Object.keys(row).find((column) => !types.has(column) && row[column] != null)
        if (stray !== undefined)
          throw new UserError(
            `${where}: a column that the first samples do not have: '${stray}' — give every column from the start, null where it is missing`,
          )
        yield names.map((column) => cellOf(where, column, row[column], types.get(column)!, path))
      }
    },
  }
}

function cellOf(
  where: string,
  column: string,
  cell: unknown,
  type: ColumnType,
  path: string,
): Cell {
  if (cell === undefined || cell === null || (typeof cell === 'number' && !Number.isFinite(cell)))
    return null
  const found = typeOf(path, column, cell)
  if (found !== type && !(type === 'text' && found === 'number'))
    throw new UserError(
      `${where}: column '${column}' was ${type} and is now ${found} — give cells of one kind`,
    )
  return cell as Cell // its kind has just been checked
}
