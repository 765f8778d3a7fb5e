// Rows that become several rows, before features are made of them.
import { z } from 'zod'
import { expandInteractions, interactionsOptions } from './expand/interactions.ts'
import { expandPairs, pairsOptions } from './expand/pairs.ts'
import type { Table } from './table.ts'

/** Keys of the recipe's `data` section for tables whose rows become several rows. */
export const expandOptions = z.strictObject({
  pairs: pairsOptions
    .optional()
    .describe('Each row becomes two consecutive ones, for the similarity of two things.'),
  interactions: interactionsOptions
    .optional()
    .describe(
      'Each row, a user and an item, is joined by items that the user never touched, for ranking.',
    ),
})

/** Which expansion a recipe asks for; none or one of them. */
export type ExpandOptions = z.output<typeof expandOptions>

/**
 * The table that features see: the same one where the recipe asks for no expansion.
 *
 * What does not fit the table's columns is a `UserError`.
 */
export async function expandTable(
  table: Table,
  { pairs, interactions }: ExpandOptions,
  context: { readonly log: (line: string) => void },
): Promise<Table> {
  const paired = pairs === undefined ? table : expandPairs(table, pairs)
  return interactions === undefined ? paired : expandInteractions(paired, interactions, context)
}
