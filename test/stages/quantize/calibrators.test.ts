import { serialize } from 'node:v8'
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

  it('needs no more memory for more samples, nor for larger ones', () => {
    const calibrator = calibrators[name] as Calibrator<unknown>
    let state = calibrator.start()
    let early = 0
    for (let batch = 0; batch < 300; batch++) {
      state = calibrator.observe(state, normals(20, `batch ${batch}`, 1.05 ** batch))
      if (batch === 3) early = serialize(state).length
    }
    // Histograms widen their bins; numbers take a few bytes more or less.
    expect(serialize(state).length).toBeLessThan(early + 64)
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

describe('moving-average', () => {
  it('is the mean of the extremes of the first hundred batches, and then forgets', () => {
    const batches = (count: number, max: number) =>
      Array.from({ length: count }, () => Float32Array.of(-1, max))
    const [ones, threes] = [batches(50, 1), batches(50, 3)]
    expect(rangeOf('moving-average', [...ones, ...threes]).max).toBeCloseTo(2, 10)
    const later = rangeOf('moving-average', [...ones, ...threes, ...batches(100, 4)]).max
    expect(later).toBeCloseTo(4 - 2 * 0.99 ** 100, 10)
  })
})

/** Mean squared error of storing values within a range in so many steps. */
function errorOf(values: Float32Array, { min, max }: Range, levels: number): number {
  const [low, high] = [Math.min(min, 0), Math.max(max, 0)]
  const step = (high - low) / (levels - 1)
  const zero = Math.round(-low / step)
  let sum = 0
  for (const value of values) {
    const stored = Math.min(levels - 1, Math.max(0, Math.round(value / step) + zero))
    sum += (value - (stored - zero) * step) ** 2
  }
  return sum / values.length
}

const shaped: readonly (readonly [string, (value: number, index: number) => number])[] = [
  ['normal numbers', (value) => value],
  ['those of a Relu', (value) => Math.max(0, value)],
  ['those with a long tail', (value) => value ** 3],
  ['those with outliers', (value, index) => (index % 5_000 === 0 ? 40 : value)],
  ['those with an offset', (value) => value + 3],
]

describe('in 8 bits', () => {
  const levels = 256

  it.each(shaped)('mse has next to the least error on %s', (_name, shape) => {
    const values = normals(20_000, 'mse').map(shape)
    const own = errorOf(values, rangeWith('mse', values, { levels }), levels)
    const whole = rangeOf('minmax', [values])
    for (let share = 1; share > 0.1; share -= 0.05) {
      const range = { min: whole.min * share, max: whole.max * share }
      expect(own).toBeLessThan(1.06 * errorOf(values, range, levels))
    }
  })
})

function rangeWith(
  name: CalibratorName,
  values: Float32Array,
  options: { readonly levels?: number; readonly symmetric?: boolean },
): Range {
  const calibrator = calibrators[name] as Calibrator<unknown>
  return calibrator.range(calibrator.observe(calibrator.start(), values), { share: 1, ...options })
}

describe('distribution', () => {
  // Optimal limits of ACIQ (Banner et al. 2019), in standard deviations and in units of b.
  it.each([
    [4, 1.71],
    [8, 2.15],
    [16, 2.55],
  ])('finds the published limit for normal numbers in %d levels', (levels, limit) => {
    const { min, max } = rangeWith('distribution', normals(100_000, 'normal'), { levels })
    expect(max).toBeCloseTo(limit, 1)
    expect(min).toBeCloseTo(-limit, 1)
  })

  it.each([
    [4, 2.83],
    [8, 3.89],
    [16, 5.03],
  ])('finds the published limit for Laplace numbers in %d levels', (levels, limit) => {
    const { uniform } = random(5, 'laplace')
    const values = Float32Array.from({ length: 100_000 }, () => {
      const size = -Math.log(1 - uniform())
      return uniform() < 0.5 ? size : -size
    })
    const { min, max } = rangeWith('distribution', values, { levels })
    expect(Math.abs(max - limit)).toBeLessThan(0.1)
    expect(Math.abs(min + limit)).toBeLessThan(0.1)
  })
})

describe('a symmetric range', () => {
  it.each(['entropy', 'mse', 'distribution'] as const)('is wide enough by %s', (name) => {
    // With zero in the middle, values of one sign have half of the levels, so that more is cut off.
    const values = normals(100_000, 'symmetric').map((value) => Math.abs(value) ** 3)
    const free = rangeWith(name, values, { levels: 16 })
    const { min, max } = rangeWith(name, values, { levels: 16, symmetric: true })
    expect(min).toBe(free.min)
    expect(max).toBeLessThanOrEqual(free.max)
    expect(max).toBeGreaterThan(0.3 * free.max)
  })
})
