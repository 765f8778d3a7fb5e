import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import {
  evenlyOrdered,
  paretoFront,
  quantilesOf,
  ratioOfMedians,
  spreadOf,
} from '../../benchmarks/statistics.ts'

describe('quantilesOf', () => {
  it('sums up values in any order', () => {
    const values = Float64Array.from({ length: 1001 }, (_, i) => (i * 617) % 1001)
    expect(quantilesOf(values)).toEqual({ p50: 500, p90: 900, p99: 990 })
  })

  it('takes a single value for all of them', () => {
    expect(quantilesOf([3])).toEqual({ p50: 3, p90: 3, p99: 3 })
  })
})

describe('spreadOf', () => {
  it('counts outliers in, and has the 99.9th percentile of a thousand values alone', () => {
    const values = [...Array<number>(999).fill(1), 101]
    expect(spreadOf(values)).toEqual({
      p999: expect.closeTo(1.1, 6),
      mean: expect.closeTo(1.1, 12),
      deviation: expect.closeTo(100 * Math.sqrt(0.001 * 0.999), 9),
    })
    expect(spreadOf(values.slice(1)).p999).toBeUndefined()
  })
})

describe('evenlyOrdered', () => {
  it('has the least, the largest, and what lies evenly between', () => {
    const values = Float64Array.from({ length: 1001 }, (_, i) => (i * 617) % 1001)
    expect(evenlyOrdered(values, 101)).toEqual(Array.from({ length: 101 }, (_, i) => i * 10))
  })

  it('has all of few values', () => {
    expect(evenlyOrdered([3, 1, 2], 101)).toEqual([1, 2, 3])
    expect(evenlyOrdered([3], 101)).toEqual([3])
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
    expect(ratioOfMedians([4], [2], { seed: 1 })).toEqual({ value: 2, interval: [2, 2] })
  })

  it('does not mind what both values of a pair share', () => {
    // A machine that is now quick, now slow: by itself each side says little, side by side they say all.
    const drift = [1, 3, 1.5, 2.5, 1.2, 2, 1.8, 2.2]
    const [model, reference] = [drift.map((at) => at * 0.8), drift]
    const { value, interval } = ratioOfMedians(model, reference, { seed: 3 })
    expect(value).toBeCloseTo(0.8, 12)
    expect(interval[1] - interval[0]).toBeLessThan(1e-9)
    const shuffled = [...reference.slice(4), ...reference.slice(0, 4)]
    const unpaired = ratioOfMedians(model, shuffled, { seed: 3 }).interval
    expect(unpaired[1] - unpaired[0]).toBeGreaterThan(0.2)
  })

  it('rarely finds a difference where there is none', () => {
    const { normal } = random(5, 'null rounds')
    let found = 0
    for (let race = 0; race < 200; race++) {
      const drift = Array.from({ length: 8 }, () => Math.exp(0.2 * normal()))
      const [one, other] = [0, 1].map(() => drift.map((at) => at * Math.exp(0.03 * normal())))
      const { interval } = ratioOfMedians(one!, other!, { seed: race, resamples: 300 })
      found += Number(interval[0] > 1 || interval[1] < 1)
    }
    // 5 % are wanted; eight medians are few for a bootstrap.
    expect(found / 200).toBeLessThan(0.1)
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
