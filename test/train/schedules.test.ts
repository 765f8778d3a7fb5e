import { describe, expect, it } from '@jest/globals'
import { type ScheduleOptions, scheduleOptions } from '../../train/options.ts'
import { rateFactor } from '../../train/schedules.ts'

const factors = (schedule: ScheduleOptions, steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => rateFactor(schedule, step, steps))
const parse = (options: object) => scheduleOptions.parse(options)

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

  it('falls along half a cosine', () => {
    const expected = [0, 1, 2, 3, 4, 5].map((step) => (1 + Math.cos((Math.PI * step) / 6)) / 2)
    for (const [step, factor] of factors('cosine', 6).entries())
      expect(factor).toBeCloseTo(expected[step]!, 12)
  })

  it('ends at a share of the peak if told to', () => {
    expect(rateFactor(parse({ name: 'cosine', final: 0.2 }), 1000, 1000)).toBeCloseTo(0.2, 12)
    expect(rateFactor(parse({ name: 'cosine', final: 0.2 }), 500, 1000)).toBeCloseTo(0.6, 12)
  })

  it.each(['constant', 'step', 'cosine'])('climbs in a line first, then is %s', (name) => {
    const warm = factors(parse({ name, warmup: 0.25 }), 16)
    expect(warm.slice(0, 4)).toEqual([0.25, 0.5, 0.75, 1])
    expect(warm.slice(4)).toEqual(factors(parse({ name }), 12))
  })

  it('can climb all the way', () => {
    expect(factors(parse({ name: 'cosine', warmup: 1 }), 4)).toEqual([0.25, 0.5, 0.75, 1])
  })

  it('is the same by name and by options', () => {
    for (const name of ['constant', 'step', 'cosine'] as const)
      expect(factors(name, 7)).toEqual(factors(parse({ name }), 7))
  })
})
