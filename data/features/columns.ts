// Columns that a recipe names, looked up in the table and checked for what they hold.
import { UserError } from '../../base/errors.ts'
import { suggest } from '../../base/suggest.ts'
import type { ColumnType, TableColumn } from '../table.ts'

/** The named column; one that is not there, or holds something else, is a `UserError`. */
export function columnNamed(
  columns: readonly TableColumn[],
  name: string,
  types: readonly ColumnType[],
): TableColumn {
  const column = columns.find((column) => column.name === name)
  if (column === undefined) {
    const names = columns.map((column) => column.name)
    throw new UserError(`data.features: no column '${name}' — ${suggest(name, names)}`)
  }
  if (!types.includes(column.type))
    throw new UserError(
      `data.features: column '${name}' holds ${column.type} cells, not ${types.join(' or ')} — choose another kind of feature for it`,
    )
  return column
}

/** A number of a table cell; a cell of another type is an error of the reader. */
export function numberOf(cell: unknown, column: string): number | null {
  if (cell === null || typeof cell === 'number') return cell
  throw new Error(`internal: column '${column}' is said to hold numbers`)
}

/** log(1 + value), for numbers above -1. */
export function log1p(value: number, column: string): number {
  if (value <= -1)
    throw new UserError(
      `column '${column}': no logarithm of 1 + ${value} — take the column off the list 'log'`,
    )
  return Math.log1p(value)
}

/** The number as float32 keeps it; one beyond its range is a `UserError`. */
export function float32Of(value: number, column: string): number {
  const rounded = Math.fround(value)
  if (!Number.isFinite(rounded))
    throw new UserError(
      `column '${column}': beyond what a float32 holds: ${value} — scale the data`,
    )
  return rounded
}
