import { describe, expect, it } from '@jest/globals'
import {
  type Dense,
  dense,
  energyOf,
  gram,
  leadingBasis,
  product,
  singularValueDecomposition,
  solveSymmetric,
  symmetricEigen,
  transposed,
} from '../../base/linear-algebra.ts'
import { random } from '../../base/random.ts'

function normal(rows: number, columns: number, seed = 1): Dense {
  const draw = random(seed, rows, columns).normal
  return dense(rows, columns, Float64Array.from({ length: rows * columns }, draw))
}

const distance = (one: Dense, other: Dense): number => {
  expect([one.rows, one.columns]).toEqual([other.rows, other.columns])
  return energyOf(one.values.map((value, index) => value - other.values[index]!))
}

const identity = (size: number): Dense =>
  dense(
    size,
    size,
    Array.from({ length: size ** 2 }, (_, at) => (at % (size + 1) === 0 ? 1 : 0)),
  )

describe('singular value decomposition', () => {
  it.each([
    [7, 7],
    [12, 5],
    [5, 12],
    [1, 6],
    [6, 1],
  ])('of %d × %d: the error at each rank is the tail of the spectrum', (rows, columns) => {
    const matrix = normal(rows, columns)
    const { singular, factors } = singularValueDecomposition(matrix)
    expect(singular).toHaveLength(Math.min(rows, columns))
    expect([...singular].sort((a, b) => b - a)).toEqual([...singular])
    for (let rank = 1; rank <= singular.length; rank++) {
      const { left, right } = factors(rank)
      const tail = energyOf(singular.subarray(rank))
      expect(distance(product(left, right), matrix)).toBeCloseTo(tail, 8)
    }
    expect(energyOf(singular)).toBeCloseTo(energyOf(matrix.values), 8)
  })

  it('shares the singular value between both factors', () => {
    const { singular, factors } = singularValueDecomposition(normal(6, 9))
    const { left, right } = factors(2)
    const length = ({ values, columns }: Dense, column: number) =>
      energyOf(values.filter((_, index) => index % columns === column))
    expect(length(left, 1)).toBeCloseTo(singular[1]!, 8)
    expect(length(transposed(right), 1)).toBeCloseTo(singular[1]!, 8)
  })

  it('gives a matrix of low rank back at that rank, and at full rank', () => {
    const matrix = product(normal(8, 2), normal(2, 6))
    const { factors } = singularValueDecomposition(matrix)
    for (const rank of [2, 6]) {
      const { left, right } = factors(rank)
      expect(distance(product(left, right), matrix)).toBeLessThan(1e-18)
    }
  })

  it('gives zeros for a matrix of zeros', () => {
    const { singular, factors } = singularValueDecomposition(dense(3, 4))
    expect([...singular]).toEqual([0, 0, 0])
    const { left, right } = factors(2)
    expect(energyOf(product(left, right).values)).toBe(0)
  })
})

it('finds eigenvectors of a symmetric matrix, the largest eigenvalue first', () => {
  const matrix = gram(normal(9, 5))
  const { eigenvalues, vectors } = symmetricEigen(matrix)
  expect([...eigenvalues].sort((a, b) => b - a)).toEqual([...eigenvalues])
  expect(distance(gram(vectors), identity(5))).toBeLessThan(1e-20)
  const scaled = { ...vectors, values: vectors.values.map((v, at) => v * eigenvalues[at % 5]!) }
  expect(distance(product(matrix, vectors), scaled)).toBeLessThan(1e-18)
})

it.each([
  ['wide', normal(4, 9), 3],
  ['tall', normal(9, 4), 3],
  ['of a lower rank', product(normal(9, 1), normal(1, 4)), 3],
  ['with fewer columns than are asked for', normal(6, 2), 4],
])('finds an orthonormal basis of a matrix %s', (_, matrix, rank) => {
  const basis = leadingBasis(matrix, rank)
  expect(distance(gram(basis), identity(rank))).toBeLessThan(1e-12)
  const { singular } = singularValueDecomposition(matrix)
  const kept = energyOf(product(transposed(basis), matrix).values)
  expect(kept).toBeCloseTo(energyOf(singular.subarray(0, rank)), 8)
})

it('solves symmetric systems, singular ones too', () => {
  const matrix = gram(normal(9, 5))
  const wanted = normal(5, 3)
  expect(distance(solveSymmetric(matrix, product(matrix, wanted)), wanted)).toBeLessThan(1e-12)
  const singular = gram(normal(2, 5))
  const right = product(singular, wanted)
  expect(distance(product(singular, solveSymmetric(singular, right)), right)).toBeLessThan(1e-10)
})
