import { expect, it } from '@jest/globals'
import { dense, product, singularValueDecomposition } from '../../../base/linear-algebra.ts'
import { random } from '../../../base/random.ts'
import { significantRank } from '../../../stages/factorize/vbmf.ts'

/** A matrix of a rank, with components of about the same strength, and noise. */
function noisy(rows: number, columns: number, rank: number, noise: number) {
  const { normal } = random(1, rows, columns, rank)
  const fill = (height: number, width: number, scale: number) =>
    dense(
      height,
      width,
      Float64Array.from({ length: height * width }, () => scale * normal()),
    )
  const signal = product(fill(rows, rank, 1), fill(rank, columns, 1))
  const { values } = fill(rows, columns, noise)
  return dense(
    rows,
    columns,
    signal.values.map((value, index) => value + values[index]!),
  )
}

it.each([
  [40, 60, 5, 0.5],
  [60, 40, 3, 1],
  [50, 50, 10, 0.1],
  [30, 90, 1, 0.3],
])('of %d × %d finds rank %d under noise of %d', (rows, columns, rank, noise) => {
  const { singular } = singularValueDecomposition(noisy(rows, columns, rank, noise))
  expect(significantRank(singular, rows, columns)).toBe(rank)
})

it('gives rank 1 where all is noise, and where there is nothing', () => {
  const { singular } = singularValueDecomposition(noisy(40, 40, 1, 100))
  expect(significantRank(singular, 40, 40)).toBe(1)
  expect(significantRank(new Float64Array(4), 4, 7)).toBe(1)
})

it('takes all of what has no noise for significant', () => {
  const { singular } = singularValueDecomposition(noisy(20, 30, 4, 0))
  expect(significantRank(singular, 20, 30)).toBe(4)
})
