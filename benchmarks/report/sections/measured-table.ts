// A table of what was measured: a column that has nothing to show of any row is left out.
import type { Cell, Column, Table } from '../blocks.ts'
import { missing } from './cells.ts'

/** A column, and what it shows of a row; undefined where that was not measured. */
export interface MeasuredColumn<Row> extends Column {
  readonly cell: (row: Row) => Cell | undefined
}

/** A row for each of `rows`, with the columns that anything was measured of. */
export function measuredTable<Row>(
  caption: string,
  rows: readonly Row[],
  columns: readonly MeasuredColumn<Row>[],
): Table {
  const cells = columns.map(({ cell }) => rows.map((row) => cell(row)))
  const shown = columns.flatMap(({ cell: _cell, ...column }, index) =>
    cells[index]!.some((cell) => cell) ? [{ column, cells: cells[index]! }] : [],
  )
  return {
    kind: 'table',
    caption,
    columns: shown.map(({ column }) => column),
    rows: rows.map((_, index) => shown.map((one) => one.cells[index] ?? missing)),
  }
}
