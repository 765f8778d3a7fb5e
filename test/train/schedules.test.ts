import { describe, expect, it } from '@jest/globals'
import { type ScheduleOptions, scheduleOptions, schedulesByName } from '../../train/options.ts'
import { rateFactor } from '../../train/schedules.ts'

const factors = (schedule: ScheduleOptions, steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => rateFactor(schedule, step, steps))
const parse = (options: object) => scheduleOptions.parse(options)
const names = Object.keys(schedulesByName) as (keyof typeof schedulesByName)[]
const half = (share: number) => (1 + Math.cos(Math.PI * share)) / 2

/** Expects the factors of all steps to be those of a formula in the share of the steps that is done. */
function expectFormula(options: object, steps: number, formula: (done: number) => number): void {
  const schedule = parse(options)
  for (const [step, factor] of factors(schedule, steps).entries())
    expect(factor).toBeCloseTo(formula(step / steps), 12)
  // What the last steps run up to.
  expect(rateFactor(schedule, steps, steps)).toBeCloseTo(formula(1), 12)
}

describe('rateFactor', () => {
  it('is 1 throughout for constant', () => {
    expect(factors('constant', 4)).toEqual([1, 1, 1, 1])
  })

  it('drops by a factor every so often for step', () => {
    const found = factors(parse({ name: 'step', every: 0.25, factor: 0.5 }), 8)
    expect(found).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125])
  })

  it('drops to a hundredth in two steps for step by its name alone', () => {
    expect(factors('step', 9)[0]).toBe(1)
    expect(factors('step', 9)[4]).toBeCloseTo(0.1)
    expect(factors('step', 9)[7]).toBeCloseTo(0.01)
  })

  it.each<[object, (done: number) => number]>([
    [{ name: 'linear' }, (done) => 1 - done],
    [{ name: 'linear', final: 0.2 }, (done) => 1 - 0.8 * done],
    [{ name: 'polynomial' }, (done) => (1 - done) ** 2],
    [{ name: 'polynomial', power: 0.9, final: 0.1 }, (done) => 0.1 + 0.9 * (1 - done) ** 0.9],
    [{ name: 'exponential' }, (done) => 10 ** (-2 * done)],
    [{ name: 'exponential', final: 0.5 }, (done) => 2 ** -done],
    [{ name: 'cosine' }, half],
    [{ name: 'cosine', final: 0.2 }, (done) => 0.2 + 0.8 * half(done)],
    [{ name: 'cosine-restarts', cycles: 1 }, half],
  ])('falls as its formula says: %j', (options, formula) => {
    for (const steps of [6, 1000]) expectFormula(options, steps, formula)
  })

  it('falls along half a cosine again and again, longer each time', () => {
    const found = factors(parse({ name: 'cosine-restarts', cycles: 3, growth: 2 }), 70)
    const expected = [10, 20, 40].flatMap((period) =>
      Array.from({ length: period }, (_, step) => half(step / period)),
    )
    for (const [step, factor] of found.entries()) expect(factor).toBeCloseTo(expected[step]!, 12)
    const equal = parse({ name: 'cosine-restarts', cycles: 4, growth: 1, final: 0.1 })
    const starts = [0, 25, 50, 75].map((step) => rateFactor(equal, step, 100))
    expect(starts).toEqual([1, 1, 1, 1])
    for (const step of [24.999999, 49.999999, 100])
      expect(rateFactor(equal, step, 100)).toBeCloseTo(0.1, 9)
  })

  it.each(names.filter((name) => name !== 'one-cycle'))(
    'climbs in a line first, then is %s',
    (name) => {
      const warm = factors(parse({ name, warmup: 0.25 }), 16)
      expect(warm.slice(0, 4)).toEqual([0.25, 0.5, 0.75, 1])
      expect(warm.slice(4)).toEqual(factors(parse({ name }), 12))
    },
  )

  it('can climb all the way', () => {
    expect(factors(parse({ name: 'cosine', warmup: 1 }), 4)).toEqual([0.25, 0.5, 0.75, 1])
  })

  it.each(names)('is the same for %s by name and by options', (name) => {
    expect(factors(name, 7)).toEqual(factors(parse({ name }), 7))
  })

  it.each(names)('stays within 0 and 1 for %s, however few the steps', (name) => {
    for (const warmup of [0, 0.3, 1])
      for (const steps of [1, 2, 3, 10])
        for (const factor of factors(parse({ name, warmup }), steps)) {
          expect(factor).toBeGreaterThanOrEqual(0)
          expect(factor).toBeLessThanOrEqual(1)
        }
  })

  it.each(['linear', 'polynomial', 'exponential', 'cosine'])('only ever falls for %s', (name) => {
    const found = factors(parse({ name, final: 0.01 }), 500)
    for (const [step, factor] of found.slice(1).entries()) expect(factor).toBeLessThan(found[step]!)
  })

  it.each(['linear', 'polynomial', 'exponential', 'cosine', 'one-cycle'])(
    'makes no jump for %s',
    (name) => {
      const found = factors(parse({ name, warmup: 0.2 }), 10_000)
      const jumps = found.slice(1).map((factor, step) => Math.abs(factor - found[step]!))
      expect(Math.max(...jumps)).toBeLessThan(1e-3)
    },
  )
})

describe('one-cycle', () => {
  it('starts, peaks and ends at its rates, in steps that are its own', () => {
    const found = factors(parse({ name: 'one-cycle', warmup: 0.4 }), 50)
    expect(found[0]).toBeCloseTo(1 / 25, 12)
    expect(found[19]).toBe(1)
    expect(found[49]).toBeCloseTo(1 / 25e4, 12)
    for (const step of Array(49).keys())
      expect(Math.sign(found[step + 1]! - found[step]!)).toBe(step < 19 ? 1 : -1)
  })

  it.each<['cosine' | 'linear', (share: number) => number]>([
    ['cosine', (share) => (1 - Math.cos(Math.PI * share)) / 2],
    ['linear', (share) => share],
  ])('climbs and falls by %s', (anneal, rise) => {
    const options = { name: 'one-cycle', warmup: 0.3, anneal, startDivision: 10, finalDivision: 5 }
    const found = factors(parse(options), 100)
    for (const step of Array(30).keys())
      expect(found[step]).toBeCloseTo(0.1 + 0.9 * rise(step / 29), 12)
    for (const step of Array(71).keys())
      expect(found[29 + step]).toBeCloseTo(1 - 0.98 * rise(step / 70), 12)
  })

  it('falls from the first step on without a climb, and climbs to the last if told to', () => {
    const falls = factors(parse({ name: 'one-cycle', warmup: 0 }), 10)
    expect(falls[0]).toBe(1)
    expect(falls).toEqual(falls.toSorted((a, b) => b - a))
    const climbs = factors(parse({ name: 'one-cycle', warmup: 1 }), 10)
    expect(climbs[9]).toBe(1)
    expect(climbs).toEqual(climbs.toSorted((a, b) => a - b))
  })
})

describe('plateau', () => {
  /** The factor after 0, 1, 2, … epochs. */
  const followed = (scores: readonly number[], options: object = {}) => {
    const schedule = parse({ name: 'plateau', factor: 0.5, patience: 1, ...options })
    return [0, ...scores.keys()].map((_, epoch) =>
      rateFactor(schedule, epoch, 100, scores.slice(0, epoch)),
    )
  }

  it('drops when more epochs than its patience bring nothing better', () => {
    expect(followed([0.1, 0.2, 0.3, 0.4])).toEqual([1, 1, 1, 1, 1])
    expect(followed([0.5, 0.4, 0.5, 0.6, 0.6, 0.1])).toEqual([1, 1, 1, 0.5, 0.5, 0.5, 0.25])
    expect(followed([0.5, 0.4, 0.5], { patience: 0 })).toEqual([1, 1, 0.5, 0.25])
  })

  it('compares with the best score of all, of any sign', () => {
    expect(followed([-1, -0.5, -0.8, -0.7])).toEqual([1, 1, 1, 1, 0.5])
  })

  it('takes no gain below its threshold for one', () => {
    expect(followed([0.5, 0.55, 0.59], { threshold: 0.1 })).toEqual([1, 1, 1, 0.5])
    expect(followed([0.5, 0.61, 0.7], { threshold: 0.1 })).toEqual([1, 1, 1, 1])
  })

  it('does not count the epochs of its cooldown', () => {
    const flat = Array<number>(7).fill(0.5)
    expect(followed(flat)).toEqual([1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125])
    expect(followed(flat, { cooldown: 2 })).toEqual([1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25])
  })

  it('goes no lower than its minimum', () => {
    expect(followed(Array<number>(6).fill(0), { patience: 0, minimum: 0.2 })).toEqual([
      1, 1, 0.5, 0.25, 0.2, 0.2, 0.2,
    ])
  })

  it('counts a score that is no number as none better', () => {
    expect(followed([0.5, Number.NaN, Number.NaN])).toEqual([1, 1, 1, 0.5])
  })

  it('drops during a warm-up too', () => {
    const schedule = parse({ name: 'plateau', factor: 0.5, patience: 0, warmup: 0.5 })
    expect(rateFactor(schedule, 1, 8, [0.5])).toBe(0.5)
    expect(rateFactor(schedule, 1, 8, [0.5, 0.4])).toBe(0.25)
  })
})
