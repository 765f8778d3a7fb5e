// Tables in text with delimiters (RFC 4180 and its relatives): csv and tsv, plain or gzip.
import { UserError } from '../../base/errors.ts'
import { suggest } from '../../base/suggest.ts'
import type { Cell, ColumnType, Part, Row, Table, TableColumn } from '../table.ts'
import { looksNumeric, parseNumber } from './decimals.ts'
import { type DelimitedOptions, delimitedOptions, sampleRows } from './delimited-options.ts'
import { records } from './delimited-records.ts'
import { findPartFiles } from './part-files.ts'
import { defineReader, type Reader } from './reader.ts'
import { RowPlaces } from './row-places.ts'
import { shown } from './text-pieces.ts'

/**
 * Comma-separated values: a file, or a folder with `train.csv` and perhaps `validation.csv` and
 * `test.csv`; each also as `.csv.gz`.
 */
export const csv = reader('csv', ',', '"')

/** The same with tabs; quotes are ordinary characters there unless told. */
export const tsv = reader('tsv', '\t', false)

function reader(
  name: string,
  delimiter: string,
  quote: string | false,
): Reader<ReturnType<typeof delimitedOptions>> {
  return defineReader({
    summary: `A table in text: NAME.${name}[.gz], or a folder with train.${name}[.gz] and test.${name}[.gz]`,
    options: delimitedOptions(delimiter, quote),
    async open(place, options, { log }) {
      const files = await findPartFiles(place, [`.${name}`, `.${name}.gz`])
      const columns = await inspectColumns(files.train[0]!, options, log)
      const part = async (paths: readonly string[]): Promise<Part> => {
        for (const path of paths) await checkHeader(path, options, columns, log)
        return readPart(paths, options, columns)
      }
      const table: Table = { columns, train: await part(files.train) }
      return {
        ...table,
        ...(files.validation && { validation: await part(files.validation) }),
        ...(files.test && { test: await part(files.test) }),
      }
    },
  })
}

/** Names by the header, types by the first rows. */
async function inspectColumns(
  path: string,
  options: DelimitedOptions,
  log: (line: string) => void,
): Promise<TableColumn[]> {
  let names: readonly string[] | undefined
  const numbers: number[] = []
  const firstTexts: ({ readonly cell: string; readonly line: number } | undefined)[] = []
  const missing = new Set(options.missing)
  let rows = 0
  for await (const { header, record, line } of records(path, options)) {
    names = header
    if (record === undefined) break
    record.forEach((cell, index) => {
      if (missing.has(cell)) return
      if (looksNumeric(cell)) numbers[index] = (numbers[index] ?? 0) + 1
      else firstTexts[index] ??= { cell, line }
    })
    if (++rows === sampleRows) break
  }
  if (names === undefined) throw new UserError(`${path}: holds no rows — check the file`)
  const types = new Map<string, ColumnType>(Object.entries(options.types))
  for (const column of [...types.keys(), ...Object.keys(options.stripSuffix)])
    if (!names.includes(column))
      throw new UserError(`${path}: no column '${column}' — ${suggest(column, names)}`)
  return names.map((name, index) => {
    const text = firstTexts[index]
    const given = types.get(name)
    // Numbers but for a few cells: more likely a slip than names of something.
    if (given === undefined && text && (numbers[index] ?? 0) > 0.9 * rows)
      log(
        `${path}: line ${text.line}: column '${name}' is read as text, for not all its cells are numbers: ${shown(text.cell)} — mend it, add it to missing, or set types: { ${name}: text }`,
      )
    return { name, type: given ?? (text ? 'text' : 'number') }
  })
}

/** Looks at the first row alone: a file without rows, or without a column, is not found out late. */
async function checkHeader(
  path: string,
  options: DelimitedOptions,
  columns: readonly TableColumn[],
  log: (line: string) => void,
): Promise<void> {
  let isEmpty = true
  for await (const { header, record } of records(path, options)) {
    const known = new Set(columns.map(({ name }) => name))
    const further = header.filter((name) => !known.has(name))
    positions(path, header, columns)
    if (further.length > 0) log(`${path}: columns that training lacks are left out: ${further}`)
    isEmpty = record === undefined
    break
  }
  if (isEmpty) throw new UserError(`${path}: holds no rows — check the file`)
}

/** Where each of the columns stands in a file. */
function positions(
  path: string,
  header: readonly string[],
  columns: readonly TableColumn[],
): number[] {
  const indexOf = new Map(header.map((name, index) => [name, index]))
  return columns.map(({ name }) => {
    const at = indexOf.get(name)
    if (at === undefined)
      throw new UserError(
        `${path}: no column '${name}', which the training part has — ${suggest(name, header)}`,
      )
    return at
  })
}

function readPart(
  paths: readonly string[],
  options: DelimitedOptions,
  columns: readonly TableColumn[],
): Part {
  const missing = new Set(options.missing)
  const places = new RowPlaces(paths)
  return {
    where: paths.length === 1 ? paths[0]! : `${paths[0]} and ${paths.length - 1} more`,
    whereOf: (row) => places.whereOf(row),
    async *rows(): AsyncGenerator<Row> {
      let row = 0
      for (const [file, path] of paths.entries()) {
        let from: readonly number[] | undefined
        for await (const { header, record, line } of records(path, options)) {
          if (record === undefined) break
          from ??= positions(path, header, columns)
          const cells: Cell[] = new Array(columns.length)
          for (let index = 0; index < columns.length; index++) {
            const text = record[from[index]!]!
            if (missing.has(text)) cells[index] = null
            else if (columns[index]!.type === 'text') cells[index] = text
            else cells[index] = numberAt(path, line, columns[index]!.name, text)
          }
          places.add(row++, file, line)
          yield cells
        }
      }
    },
  }
}

function numberAt(path: string, line: number, column: string, text: string): number {
  const value = parseNumber(text)
  if (value === undefined)
    throw new UserError(
      `${path}: line ${line}: column '${column}': not a number: ${shown(text)} — mend it, add it to missing, or set types: { ${column}: text }`,
    )
  return value
}
