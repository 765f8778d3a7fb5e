// Single weights: the smallest become zero, wherever they are.
import type { MaskStructure } from './mask.ts'
import { masksOfUnits, singleUnits } from './units.ts'

/** Any weight may go. */
export const single: MaskStructure = {
  fits: () => true,
  byRow: true,
  masks: (weights, amount) =>
    masksOfUnits(weights, amount, ({ scores }) => singleUnits(scores.length)),
  units: (_, size) => singleUnits(size),
}
