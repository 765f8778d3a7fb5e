// One column of categories as an id, for an embedding.
import { z } from 'zod'
import { type Categories, categoriesCollector, categoryOf } from './categories.ts'
import { columnNamed } from './columns.ts'
import { cellsText, columnAt, defineFeature } from './feature.ts'

/**
 * int32 `[]` or `[1]`: the number of a category in the training split, most frequent first from 1
 * on; 0 for what is missing, unseen or rare. The ids are one more than the categories.
 */
export const category = defineFeature({
  summary: 'The id of a category, for an embedding; 0 where it is unknown or missing',
  options: z.strictObject({
    kind: z.literal('category').describe('The id of a category.'),
    column: z.string().describe('A column of texts or numbers that name categories.'),
    maximum: z
      .int()
      .min(1)
      .optional()
      .describe('So many categories, the most frequent ones, have ids; all unless told.'),
    minimumCount: z
      .int()
      .min(1)
      .default(1)
      .describe('Categories that training has less often have no id.'),
    rank: z
      .union([z.literal(0), z.literal(1)])
      .default(0)
      .describe('Axes of the id: 0 feeds a Gather [batch] ids, 1 feeds it [batch, 1].'),
  }),
  columns: ({ column }, { columns }) => [columnNamed(columns, column, ['text', 'number']).name],
  learn({ column, maximum, minimumCount }, { columns }) {
    const at = columnAt(columns, column)
    const collector = categoriesCollector(column)
    return {
      observe: (row) => collector.add(row[at]!),
      finish: (): Categories => collector.finish(maximum ?? Number.POSITIVE_INFINITY, minimumCount),
    }
  },
  show({ column }, _learned, { columns }) {
    return (row) => cellsText(columns, [column], row)
  },
  prepare({ column, rank }, { categories }: Categories, { columns }) {
    const at = columnAt(columns, column)
    const idOf = new Map(categories.map((name, index) => [name, index + 1]))
    const shape = rank === 0 ? [] : [1]
    return {
      outputs: [{ suffix: '', dtype: 'int32', shape, ids: categories.length + 1 }],
      encode(row, [into]) {
        const name = categoryOf(row[at]!, column)
        into![0] = name === undefined ? 0 : (idOf.get(name) ?? 0)
      },
    }
  },
})
