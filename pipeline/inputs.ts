// The recipe's `inputs`: where each input of a model comes from.
import { z } from 'zod'

const numbers = z.union([z.number(), z.array(z.number()).min(1)])

/** Schema of `inputs`, by the name of a model's input. */
export const inputOptions = z
  .record(
    z.string().min(1),
    z.union(
      [
        z.strictObject({
          column: z
            .string()
            .min(1)
            .describe('A column of the data, as text or text.attention_mask.'),
          chunk: z
            .int()
            .min(1)
            .optional()
            .describe(
              'So many values at a time, for models that carry state from one to the next.',
            ),
        }),
        z.strictObject({ constant: numbers.describe('The same numbers always.') }),
        z.strictObject({
          carry: z.string().min(1).describe('The output whose content the next chunk gets here.'),
        }),
      ],
      { error: 'expected { column }, { constant } or { carry }' },
    ),
  )
  .optional()
  .describe("Where models' inputs come from; those not named get the column of their name.")

/** Resolved `inputs`. */
export type InputOptions = z.output<typeof inputOptions>
