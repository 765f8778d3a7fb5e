// What rounding costs.
import type { WeightMatrix } from './blocks.ts'

/** Σ δᵀ H δ over the rows of a change, of which every `step`th is looked at. */
export function outputError(
  { rows, columns }: Pick<WeightMatrix, 'rows' | 'columns'>,
  moments: Float64Array,
  change: (at: number) => number,
  step = 1,
): number {
  let sum = 0
  const own = new Float64Array(columns)
  for (let row = 0; row < rows; row += step) {
    for (let column = 0; column < columns; column++) own[column] = change(row * columns + column)
    for (let one = 0; one < columns; one++) {
      const factor = own[one]!
      if (factor === 0) continue
      // H is symmetric: the half below the diagonal counts twice.
      let inner = (factor * moments[one * columns + one]!) / 2
      for (let other = 0; other < one; other++)
        inner += own[other]! * moments[one * columns + other]!
      sum += 2 * factor * inner
    }
  }
  return sum
}
