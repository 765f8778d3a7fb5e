// One column of numbers as a feature of one number.
import { z } from 'zod'
import { DamagedError } from '../damaged.ts'
import { columnNamed, float32Of, log1p, numberOf } from './columns.ts'
import { cellsText, columnAt, defineFeature } from './feature.ts'
import { type Moments, momentsCollector } from './moments.ts'

/**
 * float32 `[1]`: a number of a column.
 *
 * Mean and standard deviation are those of the training split; a column that is constant there is
 * only shifted. A missing number is the mean, or refused.
 */
export const number = defineFeature({
  summary: 'One number of a column, standardised unless told',
  options: z.strictObject({
    kind: z.literal('number').describe('One number of a column.'),
    column: z.string().describe('A column of numbers.'),
    log: z.boolean().default(false).describe('log(1 + x) is taken first, for long-tailed amounts.'),
    standardise: z
      .boolean()
      .default(true)
      .describe('Shifts and scales to mean 0 and standard deviation 1 in the training split.'),
    missing: z
      .enum(['mean', 'refuse'])
      .default('mean')
      .describe('A missing number becomes the mean of the training split, or stops the run.'),
  }),
  columns: ({ column }, { columns }) => [columnNamed(columns, column, ['number']).name],
  learn({ column, log }, { columns }) {
    const at = columnAt(columns, column)
    const collector = momentsCollector()
    return {
      observe(row) {
        const value = numberOf(row[at], column)
        if (value !== null) collector.add(log ? log1p(value, column) : value)
      },
      finish: (): Moments => collector.finish(),
    }
  },
  show({ column }, _learned, { columns }) {
    return (row) => cellsText(columns, [column], row)
  },
  prepare({ column, log, standardise, missing }, { mean, std }: Moments, { columns }) {
    const at = columnAt(columns, column)
    return {
      outputs: [{ suffix: '', dtype: 'float32', shape: [1] }],
      encode(row, [into]) {
        const cell = numberOf(row[at], column)
        if (cell === null && missing === 'refuse')
          throw new DamagedError(
            `column '${column}': missing — mend the data, or set missing: mean`,
          )
        const value = cell === null ? mean : log ? log1p(cell, column) : cell
        into![0] = float32Of(standardise ? (value - mean) / std : value, column)
      },
    }
  },
})
