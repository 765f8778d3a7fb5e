import { describe, expect, it } from '@jest/globals'
import { paretoFront, quantilesOf, ratioOfMedians } from '../../benchmarks/statistics.ts'

describe('quantilesOf', () => {
  it('sums up values in any order', () => {
    const values = Float64Array.from({ length: 1001 }, (_, i) => (i * 617) % 1001)
    expect(quantilesOf(values)).toEqual({ p50: 500, p90: 900, p99: 990 })
  })

  it('takes a single value for all of them', () => {
    expect(quantilesOf([3])).toEqual({ p50: 3, p90: 3, p99: 3 })
  })
})

describe('ratioOfMedians', () => {
  const slow = Float64Array.from({ length: 101 }, (_, i) => 10 + (i % 7) / 10)
  const quick = Float64Array.from({ length: 101 }, (_, i) => 2 + (i % 5) / 10)

  it('encloses the ratio and repeats itself with the same seed', () => {
    const { value, interval } = ratioOfMedians(quick, slow, { seed: 7 })
    expect(value).toBeCloseTo(2.2 / 10.3, 12)
    expect(interval[0]).toBeLessThanOrEqual(value)
    expect(interval[1]).toBeGreaterThanOrEqual(value)
    expect(interval[1] - interval[0]).toBeLessThan(0.05)
    expect(ratioOfMedians(quick, slow, { seed: 7 }).interval).toEqual(interval)
  })

  it('has no width where nothing varies', () => {
    expect(ratioOfMedians([4], [2, 2], { seed: 1 })).toEqual({ value: 2, interval: [2, 2] })
  })
})

describe('paretoFront', () => {
  it('keeps what nothing beats, cheapest first', () => {
    const front = paretoFront([
      { id: 'teacher', cost: 100, value: 0.99 },
      { id: 'student', cost: 10, value: 0.98 },
      { id: 'worse', cost: 12, value: 0.97 },
      { id: 'tiny', cost: 1, value: 0.9 },
      { id: 'same', cost: 10, value: 0.98 },
    ])
    expect(front).toEqual(['tiny', 'student', 'same', 'teacher'])
    expect(paretoFront([])).toEqual([])
  })
})
