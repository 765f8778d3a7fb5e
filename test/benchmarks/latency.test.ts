import { describe, expect, it } from '@jest/globals'
import { latencyRatio, summarise } from '../../benchmarks/latency.ts'
import { timeRuns, warmUp } from '../../benchmarks/timing.ts'

/** A stopwatch that shows these times one after the other, then the last one for ever. */
const showing = (...times: number[]) => {
  let turn = 0
  return {
    measure: async () => times[Math.min(turn++, times.length - 1)]!,
    get turns() {
      return turn
    },
  }
}

describe('warmUp', () => {
  it('goes on until five runs take as long as the five before', async () => {
    const watch = showing(9, 9, 9, 9, 9, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5)
    expect(await warmUp(watch, 1000)).toMatchObject({ runs: 15, modelMs: 95 })
  })

  it('stops when its time is up', async () => {
    const watch = showing(...Array.from({ length: 100 }, (_, run) => 1000 / (run + 1)))
    expect((await warmUp(watch, 2500)).runs).toBeLessThan(12)
  })

  it('runs a slow model once', async () => {
    expect((await warmUp(showing(5000), 100)).runs).toBe(1)
  })
})

describe('timeRuns', () => {
  it('does not keep the first two runs of a quick model', async () => {
    const { times, ...all } = await timeRuns(showing(3, 2, 1), { runs: 4, budgetMs: 100 })
    expect([...times]).toEqual([1, 1, 1, 1])
    expect(all).toEqual({ runs: 6, modelMs: 9 })
  })

  it('keeps the only run that a slow model has time for', async () => {
    const { times } = await timeRuns(showing(700), { runs: 4, budgetMs: 100 })
    expect([...times]).toEqual([700])
  })

  it('does not keep runs that another process disturbs', async () => {
    const plan = { runs: 50, budgetMs: 4, disturbedMs: 20 }
    const quick = await timeRuns(showing(1.5), plan)
    // Fourteen begin in the first 20 ms; what is left of the last of these is no disturbance for the next.
    expect(quick).toMatchObject({ runs: 16 })
    expect(quick.times).toHaveLength(2)
    expect(await timeRuns(showing(300), plan)).toMatchObject({ runs: 2, modelMs: 600 })
    // A twentieth of a run is within what repeats.
    expect(await timeRuns(showing(500), plan)).toMatchObject({ runs: 1, modelMs: 500 })
  })

  it('ends with its time', async () => {
    const { times } = await timeRuns(showing(1, 1, 30), { runs: 50, budgetMs: 100 })
    expect(times).toHaveLength(4)
  })
})

describe('summarise', () => {
  it('says quantiles, runs and samples a second', () => {
    const rounds = [Float64Array.of(3, 1, 2), Float64Array.of(5, 4)]
    expect(summarise(rounds, 32, 2)).toEqual({
      batch: 32,
      threads: 2,
      runs: 5,
      p50Ms: 3,
      p90Ms: 4.6,
      p99Ms: 4.96,
      p999Ms: undefined,
      meanMs: 3,
      deviationMs: Math.sqrt(2),
      throughput: 32000 / 3,
    })
  })
})

describe('latencyRatio', () => {
  const rounds = (...medians: number[]) =>
    medians.map((median) => Float64Array.of(median * 0.9, median, median * 1.1))

  it('is the ratio of the medians over all runs, inside its interval', () => {
    const { value, interval } = latencyRatio(rounds(2, 2.1, 1.9, 2), rounds(8, 8, 8.4, 7.6), 1)
    expect(value).toBeCloseTo(0.25, 6)
    expect(interval[0]).toBeLessThanOrEqual(value)
    expect(interval[1]).toBeGreaterThanOrEqual(value)
  })

  it('is as uncertain as the rounds differ, however many runs they have', () => {
    const steady = latencyRatio(rounds(2, 2, 2, 2, 2, 2), rounds(4, 4, 4, 4, 4, 4), 1).interval
    const shaken = latencyRatio(rounds(1, 3, 2, 1, 3, 2), rounds(4, 4, 4, 4, 4, 4), 1).interval
    expect(steady).toEqual([0.5, 0.5])
    expect(shaken[1] - shaken[0]).toBeGreaterThan(0.2)
  })
})
