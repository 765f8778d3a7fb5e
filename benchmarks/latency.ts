// Latency of several models on one provider: after warm-up, in rounds that visit every model in another order, so
// that what slows the machine down for a while slows all of them down.
import { setTimeout } from 'node:timers/promises'
import { random } from '../base/random.ts'
import type { CellProcess } from './cell-process.ts'
import type { Measurement } from './report/report.ts'
import { quantilesOf, type RatioWithInterval, ratioOfMedians } from './statistics.ts'

/** How long and how often latency is measured. */
export interface LatencyOptions {
  /** Batch sizes, each measured with each number of threads; 1 comes first, for it is the headline. */
  readonly batches: readonly number[]
  /** Numbers of threads; `all` is one for each core. 1 comes first. */
  readonly threads: readonly (number | 'all')[]
  /** Visits to each model. */
  readonly rounds: number
  /** Timed runs a visit, at most. */
  readonly runs: number
  /** Time for all visits to one model at the headline's batch and threads, s; a quarter elsewhere. */
  readonly seconds: number
}

/** What is measured unless told; about two seconds for a model on a provider, warm-up included. */
export const defaultLatency: LatencyOptions = {
  batches: [1, 32],
  threads: [1, 'all'],
  rounds: 8,
  runs: 100,
  seconds: 0.8,
}

/** The times of the timed runs of a model in ms, round by round. */
export type Rounds = readonly Float64Array[]

/** What is measured of the models. */
export interface RoundsPlan {
  readonly batch: number
  readonly rounds: number
  readonly runs: number
  /** Time for each model, s. */
  readonly seconds: number
  /** Numbers of the samples that are run in turn. */
  readonly indices: Uint32Array
  readonly seed: number
  /** Pause between models in ms, in which the threads of the last one fall asleep. */
  readonly pauseMs: number
}

/** A model whose times have a limit: after so many times its share a slow model takes part no more. */
const patience = 2

/** So few runs are measured of every model, however slow it is. */
const fewestRuns = 3

/**
 * Measures the models of these processes: their times, or the error of those that failed.
 *
 * All processes wait idle while one of them is measured.
 */
export async function measureRounds<Id extends string>(
  cells: ReadonlyMap<Id, CellProcess>,
  plan: RoundsPlan,
): Promise<Map<Id, Rounds | Error>> {
  const { batch, indices, rounds, runs, seconds, pauseMs } = plan
  const budgetMs = (seconds * 1000) / rounds
  const measured = new Map<Id, Float64Array[]>()
  const failed = new Map<Id, Error>()
  const attempt = async (id: Id, use: (cell: CellProcess) => Promise<void>) => {
    try {
      await use(cells.get(id)!)
    } catch (thrown) {
      failed.set(id, thrown as Error) // a process rejects with errors alone
    }
    if (pauseMs > 0) await setTimeout(pauseMs)
  }
  const ids = [...cells.keys()]
  for (const id of ids)
    await attempt(id, async (cell) => {
      await cell.ask('warm', { batch, indices, budgetMs: seconds * 250 })
      measured.set(id, [])
    })
  for (let round = 0; round < rounds; round++) {
    const { permutation } = random(plan.seed, 'latency', batch, round)
    for (const position of permutation(ids.length)) {
      const id = ids[position]!
      const times = measured.get(id)
      if (!times || failed.has(id) || isExhausted(times, seconds)) continue
      await attempt(id, async (cell) => {
        times.push(await cell.ask('time', { runs, budgetMs }))
      })
    }
  }
  return new Map(ids.map((id) => [id, failed.get(id) ?? measured.get(id)!]))
}

function isExhausted(times: Rounds, seconds: number): boolean {
  const all = flat(times)
  const spentMs = all.reduce((sum, time) => sum + time, 0)
  return all.length >= fewestRuns && spentMs > seconds * 1000 * patience
}

/** Sums up the times of a model for the report. */
export function summarise(rounds: Rounds, batch: number, threads: number): Measurement {
  const times = flat(rounds)
  const { p50, p90, p99 } = quantilesOf(times)
  return {
    batch,
    threads,
    runs: times.length,
    p50Ms: p50,
    p90Ms: p90,
    p99Ms: p99,
    throughput: (batch * 1000) / p50,
  }
}

/**
 * The median time of a model over that of another, with its bootstrap interval.
 *
 * Runs of a round resemble each other, so the interval comes from the medians of the rounds; it always holds the
 * ratio itself, which is that of the medians over all runs.
 */
export function latencyRatio(model: Rounds, reference: Rounds, seed: number): RatioWithInterval {
  const value = quantilesOf(flat(model)).p50 / quantilesOf(flat(reference)).p50
  const medians = (rounds: Rounds) => rounds.map((times) => quantilesOf(times).p50)
  const [low, high] = ratioOfMedians(medians(model), medians(reference), { seed }).interval
  return { value, interval: [Math.min(low, value), Math.max(high, value)] }
}

const flat = (rounds: Rounds): number[] => rounds.flatMap((times) => [...times])
