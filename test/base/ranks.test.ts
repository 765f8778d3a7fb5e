import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import {
  areaUnderCurve,
  ascending,
  averagePrecision,
  averageRanks,
  correlation,
  separated,
  spearman,
} from '../../base/ranks.ts'

/** Seeded sources, one a trial. */
const draws = Array.from({ length: 100 }, (_, trial) => random(trial, 'ranks'))

describe('averageRanks', () => {
  it('shares ranks among equals, as scipy.stats.rankdata does', () => {
    expect([...averageRanks([0.3, 0.1, 0.3, 0.2])]).toEqual([3.5, 1, 3.5, 2])
  })

  it('counts repeated values as often as they are there', () => {
    for (const source of draws) {
      const values = Array.from({ length: 1 + source.integer(12) }, () => source.integer(6))
      const counts = values.map(() => 1 + source.integer(3))
      const written = averageRanks(
        values.flatMap((value, index) => new Array<number>(counts[index]!).fill(value)),
      )
      const ranks = averageRanks(values, ascending(values), counts)
      let at = 0
      for (const [index, count] of counts.entries()) {
        expect(ranks[index]).toBe(written[at])
        at += count
      }
    }
  })
})

describe('correlation', () => {
  it('is 1 for a line, -1 against it, and nothing where there is no spread', () => {
    expect(correlation([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12)
    expect(correlation([1, 2, 3], [6, 4, 2])).toBeCloseTo(-1, 12)
    expect(correlation([1, 2, 3], [5, 5, 5])).toBeNull()
  })

  // Spearman 1904's sum for ranks without ties: 1 - 6 Σd²/(n³-n) = 1 - 6·6/60.
  it('of ranks is that of Spearman', () => {
    expect(spearman([10, 20, 30, 40], [1, 3, 2, 4])).toBeCloseTo(0.8, 12)
    expect(spearman([1, 2, 3, 4], [Math.E, 1, 8, 9])).toBeCloseTo(0.8, 12)
  })
})

describe('the figures over all thresholds', () => {
  const trials = draws.map((source) =>
    Array.from({ length: 1 + source.integer(15) }, () => ({
      score: source.integer(6),
      positive: source.uniform() < 0.4,
    })),
  )
  const split = (samples: readonly { score: number; positive: boolean }[]) =>
    separated(
      samples.map(({ score }) => score),
      samples.map(({ positive }) => Number(positive)),
    )

  it('have the area as the share of pairs in the right order', () => {
    for (const samples of trials) {
      const pairs = samples.flatMap((one) =>
        samples.flatMap((other) =>
          one.positive && !other.positive
            ? [Number(one.score > other.score) + 0.5 * Number(one.score === other.score)]
            : [],
        ),
      )
      const area = areaUnderCurve(split(samples))
      if (pairs.length === 0) expect(area).toBeNull()
      else expect(area).toBeCloseTo(pairs.reduce((sum, pair) => sum + pair) / pairs.length, 10)
    }
  })

  it('have the average precision of its definition', () => {
    for (const samples of trials) {
      const all = samples.filter(({ positive }) => positive)
      const terms = all.map(({ score }) => {
        const taken = samples.filter((sample) => sample.score >= score)
        return taken.filter(({ positive }) => positive).length / taken.length
      })
      const found = averagePrecision(split(samples))
      if (all.length === 0) expect(found).toBeNull()
      else expect(found).toBeCloseTo(terms.reduce((sum, term) => sum + term) / all.length, 10)
    }
  })

  it('leave out what does not count', () => {
    expect(areaUnderCurve(separated([1, 2, 3], [0, -1, 1]))).toBe(1)
  })
})
