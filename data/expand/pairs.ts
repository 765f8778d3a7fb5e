// Pairs: a row with two things becomes two rows with one thing each.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { suggest } from '../../base/suggest.ts'
import type { Part, Row, Table } from '../table.ts'

/** Schema of `data.pairs`. */
export const pairsOptions = z.strictObject({
  columns: z
    .array(z.string().min(1))
    .length(2)
    .describe('The two columns that are compared, of one type; they become the column `item`.'),
})

/** The column that holds the first thing, then the second. */
const itemColumn = 'item'

/**
 * Each row becomes two consecutive ones (`group` 2): `item` holds the first column's cell, then the second's; all other
 * columns are repeated.
 *
 * Both rows go through the model one after the other, so that one encoder learns to compare.
 */
export function expandPairs(table: Table, options: z.output<typeof pairsOptions>): Table {
  const names = table.columns.map((column) => column.name)
  const [first, second] = options.columns.map((name) => {
    const at = names.indexOf(name)
    if (at < 0)
      throw new UserError(`data.pairs: no such column: '${name}' — ${suggest(name, names)}`)
    return at
  }) as [number, number]
  if (first === second)
    throw new UserError(`data.pairs: twice the same column: '${names[first]}' — name two`)
  const types = [table.columns[first]!.type, table.columns[second]!.type] as const
  if (types[0] !== types[1])
    throw new UserError(
      `data.pairs: columns of different types: ${types.join(' and ')} — name two of one type`,
    )
  const others = [...names.keys()].filter((at) => at !== first && at !== second)
  if (others.some((at) => names[at] === itemColumn))
    throw new UserError(
      `data.pairs: a column has the name that the pair needs: '${itemColumn}' — rename it in the file`,
    )
  const expand = (part: Part): Part => {
    if ((part.group ?? 1) !== 1)
      throw new UserError(
        `data.pairs: ${part.where}: rows belong together already: ${part.group} — leave pairs out`,
      )
    const { where, whereOf, size } = part
    return {
      where,
      ...(whereOf && { whereOf: (row) => whereOf(Math.floor(row / 2)) }),
      ...(size !== undefined && { size: size * 2 }),
      group: 2,
      async *rows() {
        for await (const row of part.rows()) {
          const rest = others.map((at) => row[at]!)
          yield [row[first]!, ...rest] as Row
          yield [row[second]!, ...rest] as Row
        }
      },
    }
  }
  return {
    ...table,
    columns: [{ name: itemColumn, type: types[0] }, ...others.map((at) => table.columns[at]!)],
    train: expand(table.train),
    ...(table.validation && { validation: expand(table.validation) }),
    ...(table.test && { test: expand(table.test) }),
  }
}
