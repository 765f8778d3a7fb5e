// Timing a session inside a measuring process: on real samples, after warm-up, each run by itself.
import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Samples } from '../base/samples.ts'
import { Tensor } from '../onnx/tensor.ts'
import { feederFor } from '../runtime/feed.ts'
import { openSession, type Session, type SessionOptions } from '../runtime/session.ts'
import { quantilesOf } from './statistics.ts'

/** A session with its memory bound, ready to be timed at one batch size. */
export interface Stopwatch {
  /** Puts the next samples into the inputs, which is not timed, and runs the model: the time in ms. */
  measure(): Promise<number>
}

/** So many batches are run in turn, at most; reading more would take longer than many models need for all runs. */
const poolSize = 64

/** At most so many bytes of samples are kept in memory to be run in turn, but for one batch. */
const poolBytes = 2 ** 21

/**
 * Prepares to time runs of `batch` samples, which are taken in turn from the samples of these numbers; of samples that
 * are fed in chunks, the first chunk.
 */
export async function stopwatch(
  session: Session,
  samples: Samples,
  { batch, indices }: { readonly batch: number; readonly indices: Uint32Array },
): Promise<Stopwatch & { /** The run that getting ready took, ms. */ readonly firstMs: number }> {
  const feeder = feederFor(session, samples, { batch, where: 'model', exactly: true })
  const begin = feeder.begin()
  const take = (which: number) => {
    feeder.load(
      Array.from({ length: batch }, (_, i) => indices[(which * batch + i) % indices.length]!),
    )
    return { ...feeder.feeds(0), ...begin }
  }
  const first = take(0)
  const bytes = Object.values(first).reduce((sum, { byteLength }) => sum + byteLength, 0)
  const count = Math.max(1, Math.min(poolSize, indices.length / batch, poolBytes / bytes))
  const pool = Array.from({ length: Math.floor(count) }, (_, which) =>
    Object.values(take(which)).map((tensor) => Uint8Array.from(tensor.bytes)),
  )
  const feeds = Object.fromEntries(
    Object.entries(first).map(([name, { dtype, dims }], input) => [
      name,
      new Tensor(dtype, dims, Uint8Array.from(pool[0]![input]!)),
    ]),
  )
  const inputs = Object.values(feeds).map((tensor) => tensor.bytes)
  const start = process.hrtime.bigint()
  const outputs = await session.run(feeds)
  const firstMs = Number(process.hrtime.bigint() - start) / 1e6
  const fetches = Object.fromEntries(
    Object.entries(outputs).map(([name, { dtype, dims, byteLength }]) => [
      name,
      new Tensor(dtype, dims, new Uint8Array(byteLength)),
    ]),
  )
  const run = session.prepare(feeds, fetches)
  let turn = 0
  return {
    firstMs,
    async measure() {
      const next = pool[turn++ % pool.length]!
      for (let input = 0; input < inputs.length; input++) inputs[input]!.set(next[input]!)
      const start = performance.now()
      const told = await run()
      return told ?? performance.now() - start
    },
  }
}

/** What a session has done. */
export interface Timed {
  /** The times of the runs that count, ms. */
  readonly times: Float64Array
  /** All runs, those that do not count included. */
  readonly runs: number
  /** How long all of them took together, ms. */
  readonly modelMs: number
}

/** Opens a session, runs one sample, and frees the session: the times of the first two, ms. */
export async function coldStart(
  path: string,
  options: SessionOptions,
  sample: Samples,
): Promise<{ readonly sessionMs: number; readonly firstRunMs: number }> {
  const begun = process.hrtime.bigint()
  const session = await openSession(path, options)
  const opened = process.hrtime.bigint()
  try {
    const feeder = feederFor(session, sample, { batch: 1, where: options.where ?? path })
    feeder.load([0])
    const feeds = { ...feeder.feeds(0), ...feeder.begin() }
    const fed = process.hrtime.bigint()
    await session.run(feeds)
    const ran = process.hrtime.bigint()
    const waited = { sessionMs: Number(opened - begun) / 1e6, firstRunMs: Number(ran - fed) / 1e6 }
    return session.coldStart?.() ?? waited
  } finally {
    await session.dispose()
  }
}

/** Runs are compared in groups of so many. */
const group = 5

/** Two groups whose medians differ by less than this share count as equal. */
const stable = 0.05

/** Runs until the time of a run no longer changes, for `budgetMs` at most and once at least; no run counts. */
export async function warmUp({ measure }: Stopwatch, budgetMs: number): Promise<Timed> {
  const none = new Float64Array()
  let before = Number.POSITIVE_INFINITY
  let modelMs = 0
  for (let runs = 0; ; ) {
    const times: number[] = []
    while (times.length < group && (modelMs < budgetMs || runs === 0)) {
      const ms = await measure()
      times.push(ms)
      modelMs += ms
      runs++
    }
    if (times.length < group) return { times: none, runs, modelMs }
    const { p50 } = quantilesOf(times)
    if (Math.abs(p50 - before) <= stable * p50) return { times: none, runs, modelMs }
    before = p50
    await setImmediate()
  }
}

/**
 * Waits until this process uses no processor while it idles, two seconds at most.
 *
 * WebAssembly is compiled once more in the background when it turns out to be hot; that must not slow down the
 * process that is measured next.
 */
export async function settle(): Promise<void> {
  const stepMs = 10
  for (let waitedMs = 0; waitedMs < 2000; waitedMs += stepMs) {
    const before = process.cpuUsage()
    await setTimeout(stepMs)
    const { user, system } = process.cpuUsage(before)
    if ((user + system) / 1000 < stepMs / 10) return
  }
}

/** At most this share of the budget goes to the first two runs where they are not kept. */
const unkeptShare = 0.2

/** A disturbance of less than this share of a run is none. */
const bearable = 0.05

/** How runs are timed. */
export interface TimingPlan {
  /** Runs at most. */
  readonly runs: number
  /** Time for the runs that are kept and the first two, ms. */
  readonly budgetMs: number
  /** So long the threads of the process that was measured before may still spin, ms; none unless told. */
  readonly disturbedMs?: number
}

/**
 * Times runs: at most `runs`, for `budgetMs`, at least one.
 *
 * The first two are not kept where there is time for them: another process has had the caches since the last round. Nor are
 * those that begin while another process disturbs them, if it does so for a noticeable part of a run.
 */
export async function timeRuns(
  { measure }: Stopwatch,
  { runs, budgetMs, disturbedMs = 0 }: TimingPlan,
): Promise<Timed> {
  const kept: number[] = []
  let modelMs = 0
  let unkept = 0
  while (kept.length < runs && (kept.length === 0 || modelMs < budgetMs + disturbedMs)) {
    const ms = await measure()
    const isDisturbed = modelMs < disturbedMs && disturbedMs - modelMs > ms * bearable
    modelMs += ms
    if (isDisturbed || (unkept < 2 && ms < (budgetMs * unkeptShare) / 2)) unkept++
    else kept.push(ms)
    // Lets the parent's end be noticed, outside of what is timed, and seldom, for it takes as long as a quick run.
    if ((kept.length + unkept) % 256 === 0) await setImmediate()
  }
  return { times: Float64Array.from(kept), runs: kept.length + unkept, modelMs }
}
