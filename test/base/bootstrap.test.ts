import { describe, expect, it } from '@jest/globals'
import { bootstrapOf, contributions, pairedP, percentiles, signP } from '../../base/bootstrap.ts'
import { random } from '../../base/random.ts'
import { wilsonInterval } from '../../base/statistics.ts'

const share = (sums: Float64Array) => sums[0]! / sums[1]!

/** Right and wrong answers, a share of them right. */
const answers = (size: number, probability: number, seed: number) => {
  const source = random(seed, 'answers')
  const gathered = contributions(size, 2)
  let right = 0
  for (let sample = 0; sample < size; sample++) {
    const hit = Number(source.uniform() < probability)
    right += hit
    gathered.add(sample, hit, 1)
  }
  return { gathered, right }
}

describe('bootstrap', () => {
  // Samples by themselves, and gathered in blocks.
  it.each([500, 20_000])('has about the interval of Wilson for a share of %d', (size) => {
    const { gathered, right } = answers(size, 0.8, 1)
    const { value, interval } = bootstrapOf(gathered, share)
    const [low, high] = wilsonInterval(right, size)
    expect(value).toBeCloseTo(right / size, 12)
    expect(Math.abs(interval[0] - low)).toBeLessThan(0.15 * (high - low))
    expect(Math.abs(interval[1] - high)).toBeLessThan(0.15 * (high - low))
  })

  it('has as wide an interval where the samples are sorted', () => {
    const sorted = contributions(4000, 2)
    for (let sample = 0; sample < 4000; sample++) sorted.add(sample, Number(sample < 2000), 1)
    const { interval } = bootstrapOf(sorted, share)
    const [low, high] = wilsonInterval(2000, 4000)
    expect((interval[1] - interval[0]) / (high - low)).toBeGreaterThan(0.8)
    expect((interval[1] - interval[0]) / (high - low)).toBeLessThan(1.2)
  })

  it('gives the same numbers every time', () => {
    const [one, other] = [answers(3000, 0.6, 2).gathered, answers(3000, 0.6, 2).gathered]
    expect(bootstrapOf(one, share)).toEqual(bootstrapOf(other, share))
  })

  it('tells models apart that differ, and none that are the same', () => {
    const [good, bad] = [answers(2000, 0.9, 3).gathered, answers(2000, 0.8, 4).gathered]
    expect(pairedP(good, bad, share)).toBeCloseTo(2 / 1001, 6)
    expect(pairedP(good, good, share)).toBe(1)
    expect(pairedP(good, answers(2000, 0.9, 5).gathered, share)).toBeGreaterThan(0.05)
  })

  it('stays finite where a resample has no value', () => {
    expect(percentiles(Float64Array.of(Number.NaN), 0.5)).toEqual([0.5, 0.5])
    expect(signP(new Float64Array())).toBe(1)
    expect(bootstrapOf(contributions(0, 2), () => 0)).toEqual({ value: 0, interval: [0, 0] })
  })
})
