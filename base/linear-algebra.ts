// Matrices in double precision, and the decompositions that compression needs. The decompositions themselves are
// ml-matrix's; products run over flat memory here, because its own go element by element.
import { CholeskyDecomposition, EVD, Matrix } from 'ml-matrix'

/** A matrix, row-major. */
export interface Dense {
  readonly rows: number
  readonly columns: number
  /** `[rows * columns]`. */
  readonly values: Float64Array
}

/** Makes a matrix of numbers, row by row, or one of zeros. */
export function dense(
  rows: number,
  columns: number,
  values: ArrayLike<number> = new Float64Array(rows * columns),
): Dense {
  if (values.length !== rows * columns)
    throw new Error(`internal: ${values.length} numbers for a matrix of ${rows} × ${columns}`)
  const own = values instanceof Float64Array ? values : Float64Array.from(values)
  return { rows, columns, values: own }
}

/** The matrix with rows and columns changed about. */
export function transposed({ rows, columns, values }: Dense): Dense {
  const result = dense(columns, rows)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result.values[column * rows + row] = values[row * columns + column]!
  return result
}

/** The product A·B. */
export function product(a: Dense, b: Dense): Dense {
  if (a.columns !== b.rows)
    throw new Error(`internal: ${a.rows} × ${a.columns} times ${b.rows} × ${b.columns}`)
  const result = dense(a.rows, b.columns)
  const { values } = result
  for (let row = 0; row < a.rows; row++)
    for (let inner = 0; inner < a.columns; inner++) {
      const factor = a.values[row * a.columns + inner]!
      if (factor === 0) continue
      const [from, to] = [inner * b.columns, row * b.columns]
      for (let column = 0; column < b.columns; column++)
        values[to + column]! += factor * b.values[from + column]!
    }
  return result
}

/** The products of a matrix's columns with each other, AᵀA. */
export function gram({ rows, columns, values }: Dense): Dense {
  const result = dense(columns, columns)
  const sums = result.values
  for (let row = 0; row < rows; row++) {
    const start = row * columns
    for (let left = 0; left < columns; left++) {
      const factor = values[start + left]!
      if (factor === 0) continue
      const to = left * columns
      for (let right = left; right < columns; right++)
        sums[to + right]! += factor * values[start + right]!
    }
  }
  for (let left = 0; left < columns; left++)
    for (let right = 0; right < left; right++)
      sums[left * columns + right] = sums[right * columns + left]!
  return result
}

/** The first columns of a matrix. */
export function firstColumns({ rows, columns, values }: Dense, count: number): Dense {
  const result = dense(rows, count)
  for (let row = 0; row < rows; row++)
    result.values.set(values.subarray(row * columns, row * columns + count), row * count)
  return result
}

/** The sum of the squares of all elements. */
export const energyOf = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let index = 0; index < values.length; index++) sum += values[index]! ** 2
  return sum
}

/** The eigenvalues of a symmetric matrix, largest first, and their eigenvectors as columns in the same order. */
export function symmetricEigen(matrix: Dense): {
  readonly eigenvalues: Float64Array
  readonly vectors: Dense
} {
  const size = matrix.rows
  const { realEigenvalues, eigenvectorMatrix } = new EVD(libraryMatrix(matrix), {
    assumeSymmetric: true,
  })
  // The library has the smallest first.
  const eigenvalues = Float64Array.from(realEigenvalues).reverse()
  const vectors = dense(size, size)
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++)
      vectors.values[row * size + column] = eigenvectorMatrix.get(row, size - 1 - column)
  return { eigenvalues, vectors }
}

/** A singular value decomposition of which any rank can be taken. */
export interface Decomposition {
  /** The singular values, largest first: as many as the smaller side of the matrix is long. */
  readonly singular: Float64Array
  /**
   * The best approximation of a rank as `left · right`, `[rows, rank]` and `[rank, columns]` (Eckart and Young 1936).
   * Both share the singular value: column and row of each component have the same length.
   */
  factors(rank: number): { readonly left: Dense; readonly right: Dense }
}

/**
 * Decomposes a matrix by the eigenvectors of the Gram matrix of its shorter side, in double precision.
 *
 * Singular values below 1e-8 of the largest are lost in rounding, which is less than float32 weights can tell (6e-8).
 * The factors are projections of the matrix itself, so that at full rank their product is the matrix to rounding all
 * the same.
 */
export function singularValueDecomposition(matrix: Dense): Decomposition {
  const isWide = matrix.columns > matrix.rows
  const tall = isWide ? transposed(matrix) : matrix
  const { eigenvalues, vectors } = symmetricEigen(gram(tall))
  const singular = eigenvalues.map((value) => Math.sqrt(Math.max(0, value)))
  return {
    singular,
    factors(rank) {
      const basis = firstColumns(vectors, rank)
      const { left, right } = projected(tall, basis)
      return isWide ? { left: transposed(right), right: transposed(left) } : { left, right }
    },
  }
}

/** The matrix with its rows projected onto the columns of a basis, as `left · right`, evenly scaled. */
export function projected(
  matrix: Dense,
  basis: Dense,
): { readonly left: Dense; readonly right: Dense } {
  return balanced(product(matrix, basis), transposed(basis))
}

/** Scales each column of `left` and row of `right`, in place, such that both have the same length. */
export function balanced(left: Dense, right: Dense): { left: Dense; right: Dense } {
  const rank = left.columns
  for (let component = 0; component < rank; component++) {
    let [first, second] = [0, 0]
    for (let row = 0; row < left.rows; row++) first += left.values[row * rank + component]! ** 2
    for (let column = 0; column < right.columns; column++)
      second += right.values[component * right.columns + column]! ** 2
    if (first === 0 || second === 0) continue
    const scale = (second / first) ** 0.25
    for (let row = 0; row < left.rows; row++) left.values[row * rank + component]! *= scale
    for (let column = 0; column < right.columns; column++)
      right.values[component * right.columns + column]! /= scale
  }
  return { left, right }
}

/** An orthonormal basis `[rows, rank]` of what a matrix's columns span, the strongest directions first. */
export function leadingBasis(matrix: Dense, rank: number): Dense {
  if (matrix.rows <= matrix.columns || rank > matrix.columns)
    return firstColumns(symmetricEigen(gram(transposed(matrix))).vectors, rank)
  const { eigenvalues, vectors } = symmetricEigen(gram(matrix))
  // Directions that are not there cannot be had from the shorter side.
  if (eigenvalues[rank - 1]! <= eigenvalues[0]! * 1e-12)
    return firstColumns(symmetricEigen(gram(transposed(matrix))).vectors, rank)
  const basis = product(matrix, firstColumns(vectors, rank))
  for (let index = 0; index < basis.values.length; index++)
    basis.values[index]! /= Math.sqrt(eigenvalues[index % rank]!)
  return basis
}

/**
 * Solves S·X = B for a symmetric positive definite S.
 *
 * `ridge`, as a share of S's mean diagonal element, is added to the diagonal and raised until S can be decomposed.
 */
export function solveSymmetric(matrix: Dense, right: Dense, ridge = 1e-10): Dense {
  const size = matrix.rows
  let trace = 0
  for (let index = 0; index < size; index++) trace += matrix.values[index * size + index]!
  const unit = trace > 0 ? trace / size : 1
  for (let share = ridge; ; share *= 100) {
    const copy = libraryMatrix(matrix)
    for (let index = 0; index < size; index++)
      copy.set(index, index, copy.get(index, index) + share * unit)
    const decomposition = new CholeskyDecomposition(copy)
    if (!decomposition.isPositiveDefinite()) {
      if (share > 1) throw new Error('internal: a matrix to solve with has numbers that are none')
      continue
    }
    const solution = decomposition.solve(libraryMatrix(right))
    return dense(right.rows, right.columns, solution.to1DArray())
  }
}

function libraryMatrix({ rows, columns, values }: Dense): Matrix {
  const matrix = new Matrix(rows, columns)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      matrix.set(row, column, values[row * columns + column]!)
  return matrix
}
