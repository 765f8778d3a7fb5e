// Models raced against each other inside this process, a thread each: quick enough to ask it a hundred times, where the
// benchmark, which gives every model a process of its own, is not.

import { throwIfAborted } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { Model } from '../onnx/graph.ts'
import { Tensor } from '../onnx/tensor.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { openSession, type Session } from '../runtime/session.ts'
import type { Rounds } from './latency.ts'
import type { RatioWithInterval } from './statistics.ts'
import { type Stopwatch, timeRuns, warmUp } from './timing.ts'

/** A model, and what it is run with again and again. */
export interface Contender {
  readonly model: Model
  readonly feeds: Readonly<Record<string, Tensor>>
}

/** How a race is run. */
export interface RaceOptions {
  readonly provider: ProviderName
  readonly threads: number
  /** Visits to each model, in another order each time. */
  readonly rounds: number
  /** Goes on with as many rounds again until this says that it is enough; it says so at once unless told. */
  readonly enough?: (times: readonly Rounds[]) => boolean
  /** Time for a visit, ms; one run at least. */
  readonly roundMs: number
  readonly seed: number
  readonly signal?: AbortSignal | undefined
}

/** Runs of a visit at most. */
const mostRuns = 1000

/**
 * Times models in turn, after warm-up: the times of each in ms, round by round.
 *
 * No thread spins, so that models that wait cost nothing; what slows the machine down for a while slows all of them
 * down. A model that the provider cannot run is a `UserError`.
 */
export async function race(
  contenders: readonly Contender[],
  { provider, threads, rounds, roundMs, enough = () => true, seed, signal }: RaceOptions,
): Promise<Rounds[]> {
  const sessions: Session[] = []
  try {
    const watches: Stopwatch[] = []
    for (const { model, feeds } of contenders) {
      throwIfAborted(signal)
      const session = await openSession(model, { provider, threads })
      sessions.push(session)
      const watch = await watchOf(session, feeds)
      await warmUp(watch, roundMs * 2)
      watches.push(watch)
    }
    const times = contenders.map((): Float64Array[] => [])
    for (let round = 0; round % rounds !== 0 || round === 0 || !enough(times); round++) {
      throwIfAborted(signal)
      for (const at of random(seed, 'race', round).permutation(watches.length))
        times[at]!.push((await timeRuns(watches[at]!, { runs: mostRuns, budgetMs: roundMs })).times)
    }
    return times
  } finally {
    for (const session of sessions) await session.dispose()
  }
}

/** A stopwatch for runs with the same feeds. */
async function watchOf(
  session: Session,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Stopwatch> {
  // Memory that is bound has to be aligned, and nobody else's.
  const own = Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, dims, bytes }]) => [
      name,
      new Tensor(dtype, dims, Uint8Array.from(bytes)),
    ]),
  )
  const fetches = Object.fromEntries(
    Object.entries(await session.run(own)).map(([name, { dtype, dims, byteLength }]) => [
      name,
      new Tensor(dtype, dims, new Uint8Array(byteLength)),
    ]),
  )
  const run = session.prepare(own, fetches)
  return {
    async measure() {
      const start = process.hrtime.bigint()
      const told = await run()
      return told ?? Number(process.hrtime.bigint() - start) / 1e6
    },
  }
}

/** The time that a model takes when nothing is in its way: the tenth percentile of all runs, ms. */
export function undisturbed(rounds: Rounds): number {
  const all = rounds.flatMap((times) => [...times]).sort((a, b) => a - b)
  return all[Math.floor(all.length / 10)]!
}

/**
 * The time of a model over that of another of the same race, with the interval that encloses it with 95 % confidence.
 *
 * Each round gives a ratio, of the least times, for what disturbs a run only ever makes it longer; the result is the
 * median of the ratios, and its interval that of order statistics, which assumes nothing of how they are spread.
 */
export function raceRatio(model: Rounds, reference: Rounds): RatioWithInterval {
  const ratios = model
    .map((times, round) => Math.min(...times) / Math.min(...reference[round]!))
    .sort((a, b) => a - b)
  const count = ratios.length
  // The normal approximation of the binomial distribution of how many ratios lie below the median.
  const reach = Math.ceil((1.96 * Math.sqrt(count)) / 2)
  const at = (index: number) => ratios[Math.max(0, Math.min(count - 1, index))]!
  const middle = (at(Math.floor((count - 1) / 2)) + at(Math.ceil((count - 1) / 2))) / 2
  const low = Math.floor(count / 2) - reach
  return { value: middle, interval: [at(low), at(count - 1 - low)] }
}
