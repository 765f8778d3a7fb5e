// Whether a rewritten model still does what its input did: both are run on the same samples and compared.

import { UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { Samples } from '../base/samples.ts'
import type { Model } from '../onnx/graph.ts'
import { byteLengthOf, elements, sizeOf, Tensor, tensorOf } from '../onnx/tensor.ts'
import { type Feeder, feederFor, runSteps } from '../runtime/feed.ts'
import { type Session, type ValueInfo, withSession } from '../runtime/session.ts'
import { largest } from '../tasks/predictions.ts'

/** How alike the outputs of two models are. */
export interface Comparison {
  /** Cosine similarity of the output where it is lowest, -1..1. */
  readonly cosine: number
  /** The same of each output by its name; there only where there are several. */
  readonly outputs?: Readonly<Record<string, number>>
  /** Share of samples with the same largest output, 0..1; there only for classifiers that were run on data. */
  readonly agreement?: number
  /** How many samples were compared. */
  readonly samples: number
}

/** How models are compared. */
export interface ComparisonOptions {
  readonly threads: number
  readonly seed: number
  /** What error messages call the input and the result. */
  readonly where: string
  /** Lets a result pass that is noise, as where a training is to follow. */
  readonly mayBeNoise?: boolean
}

/** Samples that are compared at most. */
const most = 64

/** Below this agreement or cosine similarity a result is noise. */
const noise = 0.5

type Feeds = Readonly<Record<string, Tensor>>

/**
 * Compares the outputs of a model before and after; without samples on random inputs, and not at all (undefined) where
 * the input model refuses those.
 *
 * A result that has numbers which are not finite where the input's were, or that is noise, is a {@link UserError}.
 */
export async function compareModels(
  before: Model,
  after: Model,
  samples: Samples | undefined,
  { threads, seed, where, mayBeNoise = false }: ComparisonOptions,
): Promise<Comparison | undefined> {
  return withSession(before, { threads, where }, (first) =>
    withSession(after, { threads, where: `${where}: the result` }, async (second) => {
      const sums = new Map<string, Sums>()
      let same = 0
      let count = 0
      const runs = samples
        ? dataRuns(first, second, samples, where)
        : randomRuns(first, second, seed)
      for await (const { expected, found, count: rows } of runs) {
        for (const { name, dtype } of first.outputs) {
          if (dtype !== 'float32') continue
          const sum = sums.get(name) ?? { product: 0, before: 0, after: 0 }
          sums.set(name, sum)
          accumulate(sum, expected[name]!, found[name]!, `${where}: the result's output '${name}'`)
        }
        const name = first.outputs[0]?.name ?? ''
        same += agreeing(expected[name], found[name])
        count += rows
      }
      if (count === 0) return undefined
      const outputs = Object.fromEntries([...sums].map(([name, sum]) => [name, cosineOf(sum)]))
      const cosine = Math.min(1, ...Object.values(outputs))
      const { dtype, shape } = first.outputs[0] ?? {}
      const classifies = dtype === 'float32' && shape?.length === 2 && shape[1] !== 1
      const agreement = samples && classifies ? same / count : undefined
      if (!mayBeNoise) {
        refuseNoise('agreement with the input model', agreement, where)
        refuseNoise('cosine similarity to the outputs of the input model', cosine, where)
      }
      return {
        ...{ cosine, samples: count },
        ...(sums.size > 1 && { outputs }),
        ...(agreement !== undefined && { agreement }),
      }
    }),
  )
}

/** Random numbers do not suit every model. */
async function runIfPossible(session: Session, feeds: Feeds): Promise<Feeds | undefined> {
  try {
    return await session.run(feeds)
  } catch (thrown) {
    if (thrown instanceof UserError) return undefined
    throw thrown
  }
}

/** What a comparison says, for people. */
export function describeComparison(comparison: Comparison | undefined): string {
  if (!comparison) return 'not compared: the model refuses random inputs'
  const { agreement, cosine, samples, outputs = {} } = comparison
  const each = Object.entries(outputs).map(([name, value]) => `${name} ${value.toFixed(4)}`)
  const cosines = `cosine ${cosine.toFixed(4)}${each.length > 0 ? ` (${each.join(', ')})` : ''}`
  const measure = agreement === undefined ? cosines : `agreement ${agreement.toFixed(3)}`
  return `${measure} with its input on ${samples} sample${samples === 1 ? '' : 's'}`
}

function refuseNoise(what: string, value: number | undefined, where: string): void {
  if (value !== undefined && value < noise)
    throw new UserError(
      `${where}: the result is noise: ${what} ${value.toFixed(3)} — exclude sensitive layers, or use another scheme or calibration`,
    )
}

interface Sums {
  product: number
  before: number
  after: number
}

/** Adds up what the cosine similarity is made of; what was not finite before does not count. */
function accumulate(sums: Sums, expected: Tensor, found: Tensor, where: string): void {
  const [a, b] = [elements(expected, 'float32'), elements(found, 'float32')]
  if (a.length !== b.length)
    throw new UserError(
      `${where} has another shape: [${found.dims.join(',')}] instead of [${expected.dims.join(',')}] — exclude the layers behind it`,
    )
  for (let index = 0; index < a.length; index++) {
    if (!Number.isFinite(a[index])) continue
    if (!Number.isFinite(b[index]))
      throw new UserError(
        `${where} is not finite: ${b[index]} — exclude the layers behind it, or use another scheme`,
      )
    sums.product += a[index]! * b[index]!
    sums.before += a[index]! * a[index]!
    sums.after += b[index]! * b[index]!
  }
}

function cosineOf({ product, before, after }: Sums): number {
  if (before === 0 || after === 0) return before === after ? 1 : 0
  return product / Math.sqrt(before * after)
}

/** How many rows of two matrices have their largest element at the same place. */
function agreeing(expected: Tensor | undefined, found: Tensor | undefined): number {
  if (expected?.dtype !== 'float32' || found?.dtype !== 'float32' || expected.dims.length !== 2)
    return 0
  const [rows, width] = expected.dims as [number, number]
  const [a, b] = [elements(expected, 'float32'), elements(found, 'float32')]
  const decision = (values: Float32Array, row: number) =>
    largest(values.subarray(row * width, (row + 1) * width))
  let same = 0
  for (let row = 0; row < rows; row++) if (decision(a, row) === decision(b, row)) same++
  return same
}

/** The first samples, in batches that the model takes, step by step. */
async function* dataRuns(
  first: Session,
  second: Session,
  samples: Samples,
  where: string,
): AsyncGenerator<Runs> {
  const batch = Math.min(samples.size, most)
  const feeders = [first, second].map((session) => feederFor(session, samples, { batch, where }))
  const [before, after] = feeders as [Feeder, Feeder]
  const names = ({ outputs }: Session) => outputs.map(({ name }) => name)
  for (let start = 0; start < batch; start += before.batch) {
    const count = Math.min(before.batch, batch - start)
    const indices = Array.from({ length: count }, (_, row) => start + row)
    before.load(indices)
    after.load(indices)
    const found = runSteps(second, after, names(second))
    for await (const expected of runSteps(first, before, names(first))) {
      const { value } = await found.next()
      yield { expected, found: value as Feeds, count }
    }
  }
}

/** One run on random numbers; nothing where the input model refuses them. */
async function* randomRuns(first: Session, second: Session, seed: number): AsyncGenerator<Runs> {
  for (const feeds of randomFeeds(first, seed)) {
    const expected = await runIfPossible(first, feeds)
    if (!expected) return
    const count = Object.values(feeds)[0]?.dims[0] ?? 1
    yield { expected, found: await second.run(feeds), count }
  }
}

/** What a model was fed with at a run, its state included, and what it made of it. */
export interface RecordedRun {
  readonly feeds: Feeds
  readonly results: Feeds
}

/** How much is run: samples in all, samples a run, and runs, of which samples that are fed in steps take several. */
export interface RecordOptions {
  readonly samples: number
  readonly batch: number
  readonly runs: number
  readonly seed: number
  readonly where: string
}

/**
 * Runs a model on the first samples, or once on random numbers, and keeps what went in and came out, so that others can
 * be given exactly the same; nothing where it refuses random numbers.
 */
export async function recordRuns(
  session: Session,
  samples: Samples | undefined,
  { samples: most, batch, runs: mostRuns, seed, where }: RecordOptions,
): Promise<readonly RecordedRun[]> {
  const runs: RecordedRun[] = []
  if (!samples) {
    for (const feeds of randomFeeds(session, seed)) {
      const results = await runIfPossible(session, feeds)
      if (results) runs.push({ feeds, results })
    }
    return runs
  }
  let fed: Feeds = {}
  const watched: Session = {
    ...session,
    run(feeds, fetches) {
      // The memory of the samples is used again for the next ones.
      fed = Object.fromEntries(
        Object.entries(feeds).map(([name, { dtype, dims, bytes }]) => [
          name,
          new Tensor(dtype, dims, Uint8Array.from(bytes)),
        ]),
      )
      return session.run(fed, fetches)
    },
  }
  const names = session.outputs.map(({ name }) => name)
  const feeder = feederFor(session, samples, { batch, where })
  const size = Math.min(most, samples.size)
  for (let start = 0; start < size && runs.length < mostRuns; start += feeder.batch) {
    const count = Math.min(feeder.batch, samples.size - start)
    feeder.load(Array.from({ length: count }, (_, row) => start + row))
    for await (const results of runSteps(watched, feeder, names)) {
      runs.push({ feeds: fed, results })
      if (runs.length === mostRuns) break
    }
  }
  return runs
}

/** What both models made of the same samples. */
interface Runs {
  readonly expected: Feeds
  readonly found: Feeds
  readonly count: number
}

/** One feed of random floats in -1..1 and of integers that are 0 or 1; free dimensions are 1. */
function* randomFeeds(session: Session, seed: number): Generator<Feeds> {
  const { uniform, integer } = random(seed, 'verify')
  const fill = ({ dtype, shape }: ValueInfo): Tensor => {
    const dims = shape.map((dim) => (typeof dim === 'number' ? dim : 1))
    const size = sizeOf(dims)
    if (dtype === 'float32')
      return tensorOf(
        'float32',
        dims,
        Array.from({ length: size }, () => 2 * uniform() - 1),
      )
    if (dtype === 'int64' || dtype === 'int32')
      return tensorOf(
        dtype,
        dims,
        Array.from({ length: size }, () => integer(2)),
      )
    return new Tensor(dtype, dims, new Uint8Array(byteLengthOf(dtype, dims)))
  }
  yield Object.fromEntries(session.inputs.map((input) => [input.name, fill(input)]))
}
