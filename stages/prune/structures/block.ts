// Blocks of neighbouring weights, which kernels for sparse matrices take as a whole.
import type { MaskStructure, Units } from './mask.ts'
import { eachPair, type Matrices } from './matrix.ts'
import { masksOfUnits } from './units.ts'

/**
 * Blocks of so many rows and columns of the matrix [outputs, inputs * kernel] (Gray et al. 2017).
 *
 * Blocks at the lower and right edge are as large as what is left there, and are compared by the mean of their
 * elements. A weight that is no larger than one block is left alone.
 */
export const blocks = (rows: number, columns: number): MaskStructure => {
  const unitsOf = (matrices: Matrices): Units => blockUnits(matrices, rows, columns)
  return {
    fits: (matrices) => unitsOf(matrices).count > 1,
    masks: (weights, amount) => masksOfUnits(weights, amount, ({ matrices }) => unitsOf(matrices)),
    units: unitsOf,
  }
}

/** The matrices of a weight lie one below the other. */
function blockUnits(matrices: Matrices, height: number, width: number): Units {
  const { count, rows, columns, kernel } = matrices
  const across = Math.ceil((columns * kernel) / width)
  const units = new Uint32Array(count * rows * columns * kernel)
  eachPair(matrices, (matrix, row, column, elements) => {
    const down = Math.floor((matrix * rows + row) / height)
    for (const [position, element] of elements.entries())
      units[element] = down * across + Math.floor((column * kernel + position) / width)
  })
  const down = Math.ceil((count * rows) / height)
  return { count: down * across, of: (element) => units[element]! }
}
