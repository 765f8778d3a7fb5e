// Single weights compared output by output, each of which loses the same share.
import type { Amount, Masked } from './mask.ts'
import type { Matrices } from './matrix.ts'
import { smallestElements } from './units.ts'

/** The mask of a weight of which every output loses the same share, to within one element. */
export function rowsOf({ matrices, scores }: Masked, { sparsity, progress }: Amount): Float32Array {
  const mask = new Float32Array(scores.length).fill(1)
  const size = matrices.columns * matrices.kernel
  const share = sparsity * progress
  let row = 0
  for (const elements of elementsOfRows(matrices)) {
    // What rounding leaves over in one row is made up for in the next.
    const count = Math.round((row + 1) * share * size) - Math.round(row * share * size)
    row++
    for (const element of smallestElements(elements, scores, count)) mask[element] = 0
  }
  return mask
}

/** The elements of each output, matrix by matrix. */
function* elementsOfRows({
  count,
  rows,
  columns,
  kernel,
  steps,
}: Matrices): Generator<number[], void, void> {
  for (let matrix = 0; matrix < count; matrix++)
    for (let row = 0; row < rows; row++) {
      const elements: number[] = []
      for (let column = 0; column < columns; column++)
        for (let position = 0; position < kernel; position++)
          elements.push(
            matrix * steps.matrix +
              row * steps.row +
              column * steps.column +
              position * steps.position,
          )
      yield elements
    }
}
