// The best approximation of a matrix at each rank: of the matrix itself, or of what it makes of real inputs.
import {
  type Dense,
  energyOf,
  firstColumns,
  product,
  projected,
  singularValueDecomposition,
  symmetricEigen,
  transposed,
} from '../../base/linear-algebra.ts'
import { type Moments, tailOf } from './method.ts'
import { significantRank } from './vbmf.ts'

/** A matrix `[inputs, outputs]` of which any rank can be taken as `left · right`. */
export interface LowRank {
  readonly full: number
  /** The squares that the error is a share of. */
  readonly energy: number
  /** The squared error at a rank. */
  error(rank: number): number
  factors(rank: number): {
    readonly left: Dense
    readonly right: Dense
    /** What keeps the mean of the outputs, one number each; there where the mean is known. */
    readonly shift?: Float64Array | undefined
  }
  /** The rank that is not noise. */
  significant(): number
}

/** Decomposes the matrix; its squared error is the sum of the squared singular values that are left out. */
export function lowRank(matrix: Dense): LowRank {
  const { singular, factors } = singularValueDecomposition(matrix)
  const tails = tailOf(singular.map((value) => value ** 2))
  return {
    full: singular.length,
    energy: tails[0]!,
    error: (rank) => tails[rank]!,
    factors,
    significant: () => significantRank(singular, matrix.rows, matrix.columns),
  }
}

/** A part of the weights' own products that outputs which no sample moves keep, so that full rank loses nothing. */
const ridge = 1e-6

/**
 * Keeps the outputs Y = X·W on samples instead of W: rows are projected onto the principal components V of Y, so that
 * ‖Y − Y·V·Vᵀ‖ is least, and what the mean loses goes to the bias (Zhang et al. 2015, section 3.1).
 */
export function lowRankOutputs(matrix: Dense, { second, mean }: Moments): LowRank {
  const size = matrix.columns
  const own = product(transposed(matrix), matrix)
  const [trace, ownTrace] = [second, own].map(({ values }) => {
    let sum = 0
    for (let index = 0; index < size; index++) sum += values[index * size + index]!
    return sum
  }) as [number, number]
  const share = ownTrace > 0 ? (ridge * (trace > 0 ? trace : 1)) / ownTrace : 0
  const values = second.values.map((value, index) => value + share * own.values[index]!)
  const { eigenvalues, vectors } = symmetricEigen({ rows: size, columns: size, values })
  const tails = tailOf(eigenvalues)
  return {
    full: Math.min(matrix.rows, size),
    energy: tails[0]!,
    error: (rank) => tails[rank]!,
    factors(rank) {
      const basis = firstColumns(vectors, rank)
      const { left, right } = projected(matrix, basis)
      return { left, right, ...(mean && { shift: lostOf(mean, basis) }) }
    },
    significant: () => lowRank(matrix).significant(),
  }
}

/** What a vector loses by being projected onto a basis. */
function lostOf(vector: Float64Array, basis: Dense): Float64Array {
  const row: Dense = { rows: 1, columns: vector.length, values: vector }
  const kept = product(product(row, basis), transposed(basis))
  return vector.map((value, index) => value - kept.values[index]!)
}

/** How far a product of factors is from a matrix, squared. */
export function squaredDistance(matrix: Dense, left: Dense, right: Dense): number {
  const { values } = product(left, right)
  return energyOf(values.map((value, index) => value - matrix.values[index]!))
}
