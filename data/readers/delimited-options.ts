// Options of tables in text with delimiters.
import { z } from 'zod'

/** So many rows tell what the columns hold. */
export const sampleRows = 1000

/** The options, for a format with this delimiter and quote. */
export function delimitedOptions(delimiter: string, quote: string | false) {
  return z.strictObject({
    header: z
      .union([z.boolean(), z.array(z.string().min(1)).min(1)])
      .default(true)
      .describe(
        'true: the first row names the columns; false: they are column1, column2, …; or their names, where the file has no such row.',
      ),
    delimiter: z.string().min(1).max(4).default(delimiter).describe('Stands between two cells.'),
    quote: z
      .union([z.string().length(1), z.literal(false)])
      .default(quote)
      .describe(
        'Encloses cells that hold delimiters or line ends, doubled inside them; false where quotes are ordinary characters.',
      ),
    missing: z
      .array(z.string())
      .default(['', 'NA', 'NaN', 'nan', 'null', '?'])
      .describe('Texts that stand for a missing value.'),
    trim: z.boolean().default(true).describe('White space around cells is left out.'),
    comment: z
      .string()
      .min(1)
      .max(4)
      .optional()
      .describe('Lines that begin with this text are skipped.'),
    skipLines: z
      .int()
      .min(0)
      .default(0)
      .describe('So many lines at the beginning of each file are skipped.'),
    stripSuffix: z
      .record(z.string(), z.string().min(1))
      .default({})
      .describe(
        'Text that is cut from the end of a column’s cells where it stands there, by column.',
      ),
    types: z
      .record(z.string(), z.enum(['number', 'text']))
      .default({})
      .describe(
        `What columns hold, where the first ${sampleRows} rows mislead: numbers if all their cells are, otherwise text.`,
      ),
  })
}

/** The options, defaults applied. */
export type DelimitedOptions = z.output<ReturnType<typeof delimitedOptions>>
