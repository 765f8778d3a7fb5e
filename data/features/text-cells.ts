// Which columns a text feature reads, and the texts in their cells.
import { UserError } from '../../base/errors.ts'
import { DamagedError } from '../damaged.ts'
import type { Cell, Row } from '../table.ts'
import type { TextOptions } from '../text/options.ts'
import { columnNamed } from './columns.ts'
import { columnAt, type FeatureContext } from './feature.ts'

/** The column or the two columns that are meant; what does not fit the table is a {@link UserError}. */
export function textColumns(options: TextOptions, context: FeatureContext): readonly string[] {
  const { column, columns } = options
  if (column !== undefined && columns !== undefined)
    throw new UserError(
      `data.features: text: both column and columns: '${column}' — name one column, or the two of a pair`,
    )
  const names = columns ?? [column ?? onlyText(context)]
  const types = columns ? (['text', 'number'] as const) : (['text', 'number', 'list'] as const)
  for (const name of names) columnNamed(context.columns, name, types)
  return names
}

function onlyText({ columns, targets }: FeatureContext): string {
  const found = columns.filter(({ name, type }) => type === 'text' && !targets.includes(name))
  if (found.length === 1) return found[0]!.name
  const names = found.map(({ name }) => name).join(', ')
  throw new UserError(
    `data.features: text: which column is meant: ${found.length === 0 ? 'none is text' : names} — name one with 'column'`,
  )
}

/** The texts of a row, each as its words or as one whole. */
export function textReader(options: TextOptions, context: FeatureContext) {
  const places = textColumns(options, context).map((name) => ({
    name,
    at: columnAt(context.columns, name),
  }))
  const textOf = (name: string, cell: Cell): string => {
    if (typeof cell === 'string') return cell
    if (typeof cell === 'number') return String(cell)
    if (cell === null && options.missing === 'empty') return ''
    if (cell === null)
      throw new DamagedError(
        `column '${name}': a missing text — fill it in, or take it as empty (missing: empty)`,
      )
    throw new DamagedError(`column '${name}': not a text: ${typeof cell} — name a text column`)
  }
  return (row: Row): readonly (readonly string[])[] =>
    places.map(({ name, at }) => {
      const cell = row[at]!
      return Array.isArray(cell)
        ? cell.map((word: number | string | null) => textOf(name, word))
        : [textOf(name, cell as Cell)]
    })
}
