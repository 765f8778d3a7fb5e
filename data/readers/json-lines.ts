// JSON lines (jsonlines.org): one object a line, plain or gzip.
import { z } from 'zod'
import { messageOf, UserError } from '../../base/errors.ts'
import { suggest } from '../../base/suggest.ts'
import type { Cell, ColumnType, Part, Row, TableColumn } from '../table.ts'
import { findPartFiles } from './part-files.ts'
import { defineReader } from './reader.ts'
import { RowPlaces } from './row-places.ts'
import { shown, textLines } from './text-pieces.ts'

/** So many rows tell which columns there are and what they hold. */
const sampleRows = 1000

/**
 * Objects, one a line: a file, or a folder with `train.jsonl` and perhaps `validation.jsonl` and
 * `test.jsonl`; each also as `.jsonl.gz`, `.ndjson` or `.json` with one object a line.
 *
 * Numbers, texts and flat lists of them are cells, true and false are 1 and 0, null and absent keys
 * are missing. Columns are the keys of the first rows; a key that comes later is left out.
 */
export const jsonl = defineReader({
  summary: 'JSON lines: NAME.jsonl[.gz], or a folder with train.jsonl[.gz] and test.jsonl[.gz]',
  options: z.strictObject({
    columns: z
      .array(z.string())
      .min(1)
      .optional()
      .describe(
        `Keys that are read, so that others may hold anything; all keys of the first ${sampleRows} rows unless told.`,
      ),
  }),
  async open(place, options) {
    const endings = ['.jsonl', '.jsonl.gz', '.ndjson', '.ndjson.gz', '.json', '.json.gz']
    const files = await findPartFiles(place, endings)
    const columns = await inspectColumns(files.train[0]!, options.columns)
    for (const [path] of [files.validation ?? [], files.test ?? []])
      if (path !== undefined) await inspectColumns(path, options.columns)
    return {
      columns,
      train: readPart(files.train, columns),
      ...(files.validation && { validation: readPart(files.validation, columns) }),
      ...(files.test && { test: readPart(files.test, columns) }),
    }
  },
})

async function inspectColumns(
  path: string,
  wanted: readonly string[] | undefined,
): Promise<TableColumn[]> {
  const types = new Map<string, ColumnType | undefined>()
  const seen = new Set<string>()
  let rows = 0
  for await (const { object, line } of objects(path)) {
    for (const [name, value] of Object.entries(object)) {
      seen.add(name)
      if (wanted && !wanted.includes(name)) continue
      const type = value === null ? undefined : typeOf(path, line, name, value)
      const known = types.get(name)
      if (type && known && type !== known) throw wrongType(path, line, name, known, value)
      types.set(name, known ?? type)
    }
    if (++rows === sampleRows) break
  }
  if (rows === 0) throw new UserError(`${path}: holds no rows — check the file`)
  const lacking = wanted?.find((name) => !types.has(name))
  if (lacking !== undefined)
    throw new UserError(`${path}: no row has a '${lacking}' — ${suggest(lacking, [...seen])}`)
  if (types.size === 0)
    throw new UserError(`${path}: its objects are empty — write one key a column`)
  const names = wanted ?? [...types.keys()]
  return names.map((name) => ({ name, type: types.get(name) ?? 'number' }))
}

function readPart(paths: readonly string[], columns: readonly TableColumn[]): Part {
  const places = new RowPlaces(paths)
  const indexOf = new Map(columns.map(({ name }, index) => [name, index]))
  return {
    where: paths.length === 1 ? paths[0]! : `${paths[0]} and ${paths.length - 1} more`,
    whereOf: (row) => places.whereOf(row),
    async *rows(): AsyncGenerator<Row> {
      let row = 0
      for (const [file, path] of paths.entries())
        for await (const { object, line } of objects(path)) {
          const cells: Cell[] = new Array(columns.length).fill(null)
          for (const [name, value] of Object.entries(object)) {
            const index = indexOf.get(name)
            if (index !== undefined && value !== null)
              cells[index] = cellOf(path, line, columns[index]!, value)
          }
          places.add(row++, file, line)
          yield cells
        }
    },
  }
}

async function* objects(path: string): AsyncGenerator<{ object: object; line: number }> {
  for await (const [text, line] of textLines(path)) {
    if (text.trim() === '') continue
    let object: unknown
    try {
      object = JSON.parse(text)
    } catch (thrown) {
      throw new UserError(
        `${path}: line ${line}: not JSON: ${shown(messageOf(thrown))} — write one object a line`,
        { cause: thrown },
      )
    }
    if (object === null || typeof object !== 'object' || Array.isArray(object))
      throw new UserError(
        `${path}: line ${line}: not an object: ${shown(text)} — write one object a line`,
      )
    yield { object, line }
  }
}

function typeOf(path: string, line: number, name: string, value: unknown): ColumnType {
  if (typeof value === 'number' || typeof value === 'boolean') return 'number'
  if (typeof value === 'string') return 'text'
  if (Array.isArray(value)) return 'list'
  throw new UserError(
    `${path}: line ${line}: '${name}' is an object — write its keys as columns of their own, or name the columns to read`,
  )
}

function cellOf(path: string, line: number, column: TableColumn, value: unknown): Cell {
  const type = typeOf(path, line, column.name, value)
  if (type !== column.type) throw wrongType(path, line, column.name, column.type, value)
  const place = () => `${path}: line ${line}: '${column.name}'`
  if (!Array.isArray(value)) return scalarOf(place, value)
  return value.map((element: unknown) => (element === null ? null : scalarOf(place, element)))
}

function scalarOf(place: () => string, value: unknown): number | string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return Number(value)
  if (typeof value !== 'number')
    throw new UserError(
      `${place()} holds a list of ${Array.isArray(value) ? 'lists' : 'objects'} — write flat lists of numbers or texts`,
    )
  if (!Number.isFinite(value))
    throw new UserError(`${place()} is a number beyond what a double holds — write null instead`)
  return value
}

function wrongType(
  path: string,
  line: number,
  name: string,
  expected: ColumnType,
  value: unknown,
): UserError {
  return new UserError(
    `${path}: line ${line}: '${name}' is no ${expected} as in the rows before: ${shown(JSON.stringify(value))} — mend the line`,
  )
}
