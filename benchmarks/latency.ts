// Latency of several models on one provider: after warm-up, in rounds that visit every model in another order, so
// that what slows the machine down for a while slows all of them down.
import { random } from '../base/random.ts'
import type { CellProcess } from './cell-process.ts'
import { watchOthers } from './noise.ts'
import type { Measurement } from './report/report.ts'
import { quantilesOf, type RatioWithInterval, ratioOfMedians, spreadOf } from './statistics.ts'

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
  /** Time for all visits to one model with batches of 1, s; half of it for larger ones. */
  readonly seconds: number
}

/** What is measured unless told; about three seconds for a model on a provider, warm-up included. */
export const defaultLatency: LatencyOptions = {
  batches: [1, 32],
  threads: [1, 'all'],
  rounds: 8,
  runs: 4000,
  seconds: 0.8,
}

/** The times of the timed runs of a model in ms, round by round. */
export type Rounds = readonly Float64Array[]

/** What was measured of a model. */
export interface Timing {
  readonly rounds: Rounds
  /** Of the time that this took, warm-up included, the share in which the model ran. */
  readonly timeInModel: number
  /** Energy of all processor packages for one run, J; undefined where no counter can be read. */
  readonly joules: number | undefined
}

/** What was measured of several models in turn, or why there is nothing of one. */
export interface Timings<Id extends string> {
  readonly timings: ReadonlyMap<Id, Timing | Error>
  /** Share of the time of all processors that other programs took; undefined where the system does not tell. */
  readonly otherLoad: number | undefined
}

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
  /** So long threads of the last model may spin before they fall asleep, ms; runs that meet them do not count. */
  readonly disturbedMs: number
  /** So many rounds are measured of every model, however slow it is, where there are as many. */
  readonly fewestRounds: number
}

/** A model whose times have a limit: after so many times its share a slow model takes part no more. */
const patience = 2

/** What a model has shown so far. */
interface Progress {
  readonly rounds: Float64Array[]
  runs: number
  /** Time in the model, of all runs, and of those of rounds; of all that was done; ms. */
  modelMs: number
  roundsMs: number
  wallMs: number
  /** Energy of the runs of rounds. */
  joules: number
}

/**
 * Measures the models of these processes: their times, or the error of those that failed.
 *
 * All processes wait idle while one of them is measured.
 */
export async function measureRounds<Id extends string>(
  cells: ReadonlyMap<Id, CellProcess>,
  plan: RoundsPlan,
): Promise<Timings<Id>> {
  const { batch, indices, rounds, runs, seconds, disturbedMs } = plan
  const budgetMs = (seconds * 1000) / rounds
  const ids = [...cells.keys()]
  const measured = new Map(ids.map((id) => [id, nothing()]))
  const failed = new Map<Id, Error>()
  const attempt = async (
    id: Id,
    use: (cell: CellProcess, found: Progress) => Promise<{ readonly modelMs: number }>,
  ) => {
    const found = measured.get(id)!
    const start = process.hrtime.bigint()
    try {
      found.modelMs += (await use(cells.get(id)!, found)).modelMs
    } catch (thrown) {
      failed.set(id, thrown as Error) // a process rejects with errors alone
    }
    found.wallMs += Number(process.hrtime.bigint() - start) / 1e6
  }
  for (const id of ids)
    await attempt(id, (cell) => cell.ask('warm', { batch, indices, budgetMs: seconds * 250 }))
  // All at once, for what goes on in the background of one would disturb any other.
  const settled = process.hrtime.bigint()
  await Promise.allSettled([...cells.values()].map((cell) => cell.ask('settle', {})))
  const settleMs = Number(process.hrtime.bigint() - settled) / 1e6
  for (const found of measured.values()) found.wallMs += settleMs / ids.length
  const others = watchOthers()
  const own = process.cpuUsage()
  let processorMs = 0
  for (let round = 0; round < rounds; round++) {
    const { permutation } = random(plan.seed, 'latency', batch, round)
    for (const position of permutation(ids.length)) {
      const id = ids[position]!
      if (failed.has(id) || isExhausted(measured.get(id)!, plan)) continue
      await attempt(id, async (cell, found) => {
        const timed = await cell.ask('time', { runs, budgetMs, disturbedMs })
        found.rounds.push(timed.times)
        found.runs += timed.runs
        found.roundsMs += timed.modelMs
        found.joules += timed.joules ?? Number.NaN
        processorMs += timed.processorMs
        return timed
      })
    }
  }
  const { user, system } = process.cpuUsage(own)
  return {
    otherLoad: others(processorMs + (user + system) / 1000),
    timings: new Map(ids.map((id) => [id, failed.get(id) ?? timingOf(measured.get(id)!)])),
  }
}

const nothing = (): Progress => ({
  rounds: [],
  ...{ runs: 0, modelMs: 0, roundsMs: 0, wallMs: 0, joules: 0 },
})

const isExhausted = ({ rounds, roundsMs }: Progress, { seconds, fewestRounds }: RoundsPlan) =>
  rounds.length >= fewestRounds && roundsMs > seconds * 1000 * patience

const timingOf = ({ rounds, runs, modelMs, wallMs, joules }: Progress): Timing => ({
  rounds,
  timeInModel: Math.min(1, modelMs / wallMs),
  // A counter that stood still between two of its steps says nothing.
  joules: joules > 0 ? joules / runs : undefined,
})

/** Sums up the times of a model for the report. */
export function summarise(rounds: Rounds, batch: number, threads: number): Measurement {
  const times = flat(rounds)
  const { p50, p90, p99 } = quantilesOf(times)
  const { p999, mean, deviation } = spreadOf(times)
  return {
    batch,
    threads,
    runs: times.length,
    p50Ms: p50,
    p90Ms: p90,
    p99Ms: p99,
    p999Ms: p999,
    meanMs: mean,
    deviationMs: deviation,
    throughput: (batch * 1000) / p50,
  }
}

/** A ratio of times, and the number of pairs of rounds behind its interval. */
export interface LatencyRatio extends RatioWithInterval {
  readonly rounds: number
}

/**
 * The median time of a model over that of another of the same rounds, with its bootstrap interval.
 *
 * Runs of a round resemble each other, so the interval comes from the medians of the rounds; rounds of both lie side by side,
 * so they are drawn in pairs. It always holds the ratio itself, which is that of the medians over all runs.
 */
export function latencyRatio(model: Rounds, reference: Rounds, seed: number): LatencyRatio {
  const value = quantilesOf(flat(model)).p50 / quantilesOf(flat(reference)).p50
  const rounds = Math.min(model.length, reference.length)
  const medians = (of: Rounds) => of.slice(0, rounds).map((times) => quantilesOf(times).p50)
  const [low, high] = ratioOfMedians(medians(model), medians(reference), { seed }).interval
  return { value, interval: [Math.min(low, value), Math.max(high, value)], rounds }
}

/** All times of a model in ms, in the order in which they were measured. */
export const flat = (rounds: Rounds): number[] => rounds.flatMap((times) => [...times])
