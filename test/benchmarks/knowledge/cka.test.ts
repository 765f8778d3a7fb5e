import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { cka } from '../../../benchmarks/knowledge/cka.ts'
import type { Predictions } from '../../../tasks/task.ts'

const { normal } = random(5, 'features')

/** Rows of numbers as predictions. */
const rowsOf = (rows: readonly (readonly number[])[]): Predictions => ({
  size: rows.length,
  width: rows[0]!.length,
  row: (index) => Float32Array.from(rows[index]!),
})

const noise = (size: number, width: number): number[][] =>
  Array.from({ length: size }, () => Array.from({ length: width }, () => normal()))

const mapped = (rows: readonly (readonly number[])[], matrix: readonly (readonly number[])[]) =>
  rows.map((row) =>
    matrix[0]!.map((_, column) => row.reduce((sum, x, i) => sum + x * matrix[i]![column]!, 0)),
  )

/** Columns made orthonormal one after the other (Gram and Schmidt). */
function orthogonal(size: number): number[][] {
  const basis: number[][] = []
  for (const vector of noise(size, size)) {
    for (const other of basis) {
      const along = vector.reduce((sum, x, i) => sum + x * other[i]!, 0)
      for (const i of vector.keys()) vector[i]! -= along * other[i]!
    }
    const length = Math.hypot(...vector)
    basis.push(vector.map((x) => x / length))
  }
  return basis
}

/** HSIC₁ by its definition over distinct quadruples (Song et al. 2012, equation 5's meaning), and CKA of one batch of it. */
function reference(x: readonly (readonly number[])[], y: readonly (readonly number[])[]): number {
  const n = x.length
  const dot = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, i) => sum + value * b[i]!, 0)
  const hsic = (a: typeof x, b: typeof y) => {
    let [pairs, triples, quadruples] = [0, 0, 0]
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        if (j === i) continue
        const k = dot(a[i]!, a[j]!)
        pairs += k * dot(b[i]!, b[j]!)
        for (let q = 0; q < n; q++) {
          if (q === i || q === j) continue
          triples += k * dot(b[i]!, b[q]!)
          for (let r = 0; r < n; r++)
            if (r !== i && r !== j && r !== q) quadruples += k * dot(b[q]!, b[r]!)
        }
      }
    const [two, three] = [n * (n - 1), n * (n - 1) * (n - 2)]
    return pairs / two - (2 * triples) / three + quadruples / (three * (n - 3))
  }
  return hsic(x, y) / Math.sqrt(hsic(x, x) * hsic(y, y))
}

describe('cka', () => {
  const x = noise(256, 12)

  it('is 1 for features that are equal, turned, moved or scaled', () => {
    const turned = mapped(x, orthogonal(12)).map((row) => row.map((value) => 100 + 3 * value))
    expect(cka(rowsOf(x), rowsOf(x))).toBe(1)
    expect(cka(rowsOf(x), rowsOf(turned))).toBeCloseTo(1, 6)
  })

  it('is less than 1 where directions are stretched, and the same both ways', () => {
    const stretched = x.map((row) => row.map((value, i) => (i === 0 ? 9 * value : value)))
    const there = cka(rowsOf(x), rowsOf(stretched))!
    expect(there).toBeLessThan(0.8)
    expect(cka(rowsOf(stretched), rowsOf(x))).toBeCloseTo(there, 12)
  })

  it('is about 0 for independent features, however wide they are', () => {
    // The biased estimate is near 1 for features that are wider than a batch.
    expect(Math.abs(cka(rowsOf(noise(512, 200)), rowsOf(noise(512, 300)))!)).toBeLessThan(0.05)
    expect(Math.abs(cka(rowsOf(x), rowsOf(noise(256, 5)))!)).toBeLessThan(0.05)
  })

  it('is what its definition says', () => {
    const few = noise(9, 3)
    const others = few.map((row) => [row[0]! + 0.3 * normal(), row[1]! * row[2]!])
    const single = (rows: number[][]) => rows.map((row) => [...Float32Array.from(row)])
    const value = cka(rowsOf(few), rowsOf(others))
    expect(value).toBeCloseTo(reference(single(few), single(others)), 10)
  })

  it('adds batches up and leaves out what does not fill one', () => {
    const y = x.map((row) => row.map((value) => value + normal()))
    const part = (rows: number[][], size: number) => rowsOf(rows.slice(0, size))
    expect(cka(part(x, 140), part(y, 140))).toBe(cka(part(x, 128), part(y, 128)))
    expect(cka(part(x, 256), part(y, 256))).toBeCloseTo(cka(part(x, 64), part(y, 64))!, 1)
  })

  it('says nothing of features that do not vary, are too few or no numbers', () => {
    const constant = rowsOf(x.map(() => [1, 2]))
    const broken = rowsOf(x.map((row) => [...row.slice(1), Number.NaN]))
    expect(cka(rowsOf(x), constant)).toBeNull()
    expect(cka(rowsOf(x), broken)).toBeNull()
    expect(cka(rowsOf(x.slice(0, 3)), rowsOf(x.slice(0, 3)))).toBeNull()
  })
})
