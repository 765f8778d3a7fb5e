import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import type { Range } from '../../../stages/quantize/arithmetic.ts'
import {
  type Calibrator,
  type CalibratorName,
  calibrators,
} from '../../../stages/quantize/calibrators.ts'

const names = Object.keys(calibrators) as CalibratorName[]

function rangeOf(name: CalibratorName, batches: readonly Float32Array[], share = 0.999): Range {
  const calibrator = calibrators[name] as Calibrator<unknown>
  const state = batches.reduce<unknown>(
    (before, batch) => calibrator.observe(before, batch),
    calibrator.start(),
  )
  return calibrator.range(state, { share })
}

function normals(count: number, label: string, scale = 1): Float32Array {
  const { normal } = random(5, label)
  return Float32Array.from({ length: count }, () => scale * normal())
}

describe.each(names)('calibrator %s', (name) => {
  it('stays within what it saw', () => {
    const values = normals(10_000, 'within')
    const { min, max } = rangeOf(name, [values])
    expect(min).toBeGreaterThanOrEqual(Math.min(...values))
    expect(max).toBeLessThanOrEqual(Math.max(...values))
    expect(max - min).toBeGreaterThan(2)
  })

  it('says so when a value was not finite', () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const { min, max } = rangeOf(name, [
        normals(10, 'a'),
        Float32Array.of(1, bad),
        normals(10, 'b'),
      ])
      expect(Number.isFinite(min) && Number.isFinite(max)).toBe(false)
    }
  })

  it('knows that zeros are zeros', () => {
    expect(rangeOf(name, [new Float32Array(8), new Float32Array(8)])).toEqual({ min: 0, max: 0 })
  })

  it('gives a range without extent or sign for constants', () => {
    const { min, max } = rangeOf(name, [new Float32Array(100).fill(3)])
    expect(max).toBe(3)
    expect(min).toBeGreaterThanOrEqual(0)
  })

  it('leaves the state before as it was', () => {
    const calibrator = calibrators[name] as Calibrator<unknown>
    const state = calibrator.observe(calibrator.start(), normals(100, 'first'))
    const before = structuredClone(state)
    calibrator.observe(state, normals(100, 'second', 50))
    expect(state).toEqual(before)
  })
})

describe('percentile', () => {
  it('leaves out the share at the ends', () => {
    const values = normals(100_000, 'percentile')
    const { min, max } = rangeOf('percentile', [values], 0.99)
    expect(max).toBeCloseTo(2.576, 1)
    expect(min).toBeCloseTo(-2.576, 1)
  })

  it('sees the same, whatever the order of the scales', () => {
    const [small, large] = [normals(50_000, 'small', 0.01), normals(50_000, 'large', 10)]
    const up = rangeOf('percentile', [small, large], 0.99)
    const down = rangeOf('percentile', [large, small], 0.99)
    expect(up.max / down.max).toBeCloseTo(1, 1)
    expect(up.min / down.min).toBeCloseTo(1, 1)
  })
})

describe('entropy', () => {
  it('cuts off a single outlier and keeps the rest', () => {
    const values = normals(200_000, 'entropy')
    values[17] = 100
    const { max } = rangeOf('entropy', [values])
    expect(max).toBeGreaterThan(2.5)
    expect(max).toBeLessThan(20)
  })

  it('is not misled by the zeros of a Relu', () => {
    const values = normals(200_000, 'relu').map((value) => Math.max(0, value))
    const { min, max } = rangeOf('entropy', [values])
    expect(min).toBe(0)
    expect(max).toBeGreaterThan(2.5)
  })
})
