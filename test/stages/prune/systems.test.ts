import { describe, expect, it } from '@jest/globals'
import { inverse, Matrix } from 'ml-matrix'
import { random } from '../../../base/random.ts'
import {
  errorOf,
  fitted,
  inverseCurvature,
  type Normal,
  swept,
} from '../../../stages/prune/systems.ts'

const [columns, rows, samples] = [9, 5, 60]
const source = random(2, 'systems')
/** Inputs that depend on each other, and outputs that are their products with weights, and noise. */
const x = new Matrix(
  Array.from({ length: samples }, () => {
    const own = Array.from({ length: columns }, () => source.normal())
    return own.map((value, at) => value + 0.8 * (own[at - 1] ?? 0))
  }),
)
const full = Float64Array.from({ length: rows * columns }, () => source.normal())
const w = new Matrix(
  Array.from({ length: rows }, (_, row) => [...full.subarray(row * columns, (row + 1) * columns)]),
)
const noise = new Matrix(
  Array.from({ length: samples }, () => Array.from({ length: rows }, () => source.normal() / 10)),
)
const y = x.mmul(w.transpose()).add(noise)
const normal: Normal = {
  columns,
  rows,
  inputs: Float64Array.from(x.transpose().mmul(x).to1DArray()),
  cross: Float64Array.from(x.transpose().mmul(y).to1DArray()),
  energies: Float64Array.from({ length: rows }, (_, row) =>
    y.getColumn(row).reduce((sum, value) => sum + value ** 2, 0),
  ),
}
const kept = Uint8Array.from(full, (_, at) => ((at * 7) % 3 === 0 ? 0 : 1))
const masked = full.map((value, at) => value * kept[at]!)

/** Σ (y - x w)² from the samples themselves. */
const direct = (weights: Float64Array): number => {
  const own = new Matrix(
    Array.from({ length: rows }, (_, row) => [
      ...weights.subarray(row * columns, (row + 1) * columns),
    ]),
  )
  return Matrix.sub(y, x.mmul(own.transpose()))
    .to1DArray()
    .reduce((sum, value) => sum + value ** 2, 0)
}

describe('least squares from moments', () => {
  it('know the error of any weights', () => {
    for (const weights of [full, masked, new Float64Array(rows * columns)])
      expect(errorOf(normal, weights)).toBeCloseTo(direct(weights), 8)
  })

  it('find the weights of the least error, all of them or those that are kept', () => {
    const gram = x.transpose().mmul(x)
    const best = inverse(gram).mmul(x.transpose().mmul(y)).transpose().to1DArray()
    for (const [at, value] of fitted(normal, masked, 0).entries())
      expect(value).toBeCloseTo(best[at]!, 6)
    const found = fitted(normal, masked, 0, kept)
    for (let row = 0; row < rows; row++) {
      const alive = Array.from({ length: columns }, (_, at) => at).filter(
        (at) => kept[row * columns + at],
      )
      const own = x.subMatrixColumn(alive)
      const exact = inverse(own.transpose().mmul(own))
        .mmul(own.transpose().mmul(y.subMatrixColumn([row])))
        .to1DArray()
      for (const [place, at] of alive.entries())
        expect(found[row * columns + at]).toBeCloseTo(exact[place]!, 6)
    }
    for (const [at, value] of found.entries()) if (kept[at] === 0) expect(value).toBe(masked[at])
  })

  it('never have a larger error than before, whatever the ridge', () => {
    const before = errorOf(normal, masked)
    let least = 0
    for (const ridge of [1e-9, 1e-4, 1e-2, 1, 100]) {
      const error = errorOf(normal, fitted(normal, masked, ridge, kept))
      expect(error).toBeLessThanOrEqual(before)
      expect(error).toBeGreaterThanOrEqual(least - 1e-9)
      least = error
    }
  })

  it('leave weights of inputs alone that are always zero', () => {
    const dead = {
      ...normal,
      inputs: normal.inputs.map((value, at) =>
        Math.floor(at / columns) === 3 || at % columns === 3 ? 0 : value,
      ),
      cross: normal.cross.map((value, at) => (Math.floor(at / rows) === 3 ? 0 : value)),
    }
    const found = fitted(dead, full, 1e-6)
    for (let row = 0; row < rows; row++)
      expect(found[row * columns + 3]).toBe(full[row * columns + 3])
    expect(found.every(Number.isFinite)).toBe(true)
    expect(inverseCurvature(dead.inputs, columns)[3]).toBe(0)
  })
})

describe('the sweep over columns', () => {
  it('is the exact solution where one weight of a row goes and all others come after it', () => {
    const first = Uint8Array.from(full, (_, at) => (at % columns === 0 ? 0 : 1))
    const start = full.map((value, at) => value * first[at]!)
    const exact = fitted(normal, start, 0, first)
    for (const [at, value] of swept(normal, start, 1e-12, first).entries())
      expect(value).toBeCloseTo(exact[at]!, 6)
  })

  it('lies between what was before and the exact solution, row by row', () => {
    const found = swept(normal, masked, 1e-6, kept)
    const error = errorOf(normal, found)
    expect(error).toBeLessThan(errorOf(normal, masked))
    expect(error).toBeGreaterThanOrEqual(errorOf(normal, fitted(normal, masked, 0, kept)) - 1e-9)
    for (const [at, value] of found.entries()) if (kept[at] === 0) expect(Math.abs(value)).toBe(0)
  })
})
