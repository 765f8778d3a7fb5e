import { expect, it } from '@jest/globals'
import { studentP, studentQuantile } from '../../../pipeline/nightly/student.ts'

// Two-sided quantiles of Student's distribution, from the tables of Abramowitz and Stegun (1964), 26.10.
it.each([
  [1, 0.05, 12.706],
  [2, 0.05, 4.303],
  [5, 0.01, 4.032],
  [10, 0.05, 2.228],
  [30, 0.01, 2.75],
  [120, 0.001, 3.373],
  [Number.POSITIVE_INFINITY, 0.05, 1.96],
  [Number.POSITIVE_INFINITY, 0.001, 3.291],
])('has the quantiles of the tables: %d degrees of freedom, p %d', (freedom, p, t) => {
  expect(studentQuantile(p, freedom)).toBeCloseTo(t, 2)
  expect(studentP(studentQuantile(p, freedom), freedom)).toBeCloseTo(p, 10)
})

it('is exact where there is a closed form', () => {
  for (const t of [0.1, 1, 3, 40]) {
    expect(studentP(t, 1)).toBeCloseTo(1 - (2 / Math.PI) * Math.atan(t), 12)
    expect(studentP(t, 2)).toBeCloseTo(1 - t / Math.sqrt(2 + t * t), 12)
  }
  expect(studentP(0, 7)).toBe(1)
  expect(studentP(Number.POSITIVE_INFINITY, 7)).toBe(0)
})
