// Running a model over many samples: one batch in memory at a time, whatever batch size the model allows.
import { Float16Array } from '@petamoriken/float16'
import { throwIfAborted, UserError } from '../base/errors.ts'
import type { Samples } from '../base/samples.ts'
import type { Model } from '../onnx/graph.ts'
import { type ArrayType, elements, numberTypes, type Tensor } from '../onnx/tensor.ts'
import type { Binding } from './bind.ts'
import { feederFor, runSteps } from './feed.ts'
import type { ProviderName } from './providers.ts'
import { type Session, type ValueInfo, withSession } from './session.ts'

/** How samples are run. */
export interface PredictOptions {
  readonly provider?: ProviderName
  readonly threads?: number
  /** Samples a run, 64 unless told; large samples are fewer, a model with a fixed batch has the last word. */
  readonly batch?: number
  /** The first output alone, as unless told, or all that are numbers and not carried state, one after the other. */
  readonly outputs?: 'first' | 'all'
  readonly signal?: AbortSignal | undefined
  readonly where?: string
  /** Told the number of samples after each batch. */
  readonly progress?: (samples: number) => void
}

/** The outputs for every sample. */
export interface Predictions {
  readonly size: number
  /** Numbers a sample. */
  readonly width: number
  /** Numbers a sample of each output that was asked for, in their order. */
  readonly widths: readonly number[]
  /** `[size, width]`, row-major. */
  readonly outputs: Float32Array
  /** The numbers of one sample, a view. */
  row(index: number): Float32Array
}

/** Gives a view on predictions that lie in memory, `[size, width]`. */
export const predictionsIn = (
  outputs: Float32Array,
  widths: readonly number[],
  width = widths.reduce((sum, part) => sum + part, 0),
): Predictions => ({
  size: width === 0 ? 0 : outputs.length / width,
  ...{ width, widths },
  outputs,
  row: (index) => outputs.subarray(index * width, (index + 1) * width),
})

/**
 * Gives the outputs of a model for every sample, all of them in memory.
 *
 * Samples that do not fit the model are a {@link UserError}.
 */
export async function predict(
  model: Model | Uint8Array | string,
  samples: Samples,
  options: PredictOptions = {},
): Promise<Predictions> {
  const { provider = 'cpu', threads = 1, where } = options
  const session = { provider, threads, ...(where === undefined ? {} : { where }) }
  return withSession(model, session, (open) => predictWith(open, samples, options))
}

/** The same with a session that is open already. */
export async function predictWith(
  session: Session,
  samples: Samples,
  options: PredictOptions = {},
): Promise<Predictions> {
  let outputs = new Float32Array()
  let widths: readonly number[] = []
  await predictEach(session, samples, options, (values, start, count, each) => {
    const width = values.length / count
    if (start === 0) {
      widths = each
      outputs = new Float32Array(samples.size * width)
    }
    outputs.set(values, start * width)
  })
  return predictionsIn(outputs, widths)
}

/**
 * Runs a model over samples and hands the outputs over batch by batch: `values` `[count, width]` of the samples from
 * `start` on, which the next batch overwrites.
 */
export async function predictEach(
  session: Session,
  samples: Samples,
  options: PredictOptions,
  use: (
    values: Float32Array,
    start: number,
    count: number,
    widths: readonly number[],
  ) => void | Promise<void>,
): Promise<void> {
  const { where = 'model', signal } = options
  const { binding } = feederFor(session, samples, { batch: 1, where })
  const wanted = outputsOf(session, binding, options.outputs ?? 'first', where)
  const names = wanted.map(({ name }) => name)
  // An output whose first axis is not that of the samples can be told apart for one sample alone.
  const batch = wanted.every(rowwiseFor(session, binding)) ? (options.batch ?? 64) : 1
  const feeder = feederFor(session, samples, { batch, where })
  let values = new Float32Array()
  let each: readonly number[] | undefined
  for (let start = 0; start < samples.size; start += feeder.batch) {
    throwIfAborted(signal)
    // The native call blocks; let timers and signals have their turn.
    await new Promise(setImmediate)
    const count = Math.min(feeder.batch, samples.size - start)
    // The last batch is run with as many samples as are left, where the model lets it.
    const last =
      count < feeder.batch && feeder.binding.fixedBatch === undefined
        ? feederFor(session, samples, { batch: count, where, exactly: true })
        : feeder
    last.load(Array.from({ length: count }, (_, row) => start + row))
    const steps: Tensor[][] = []
    for await (const results of runSteps(session, last, names))
      steps.push(names.map((name) => results[name]!))
    const mixed =
      last.batch > 1
        ? steps.flat().find(({ dims: [first] }) => !Number.isInteger(first! / last.batch))
        : undefined
    if (mixed) {
      // Only now does it show; nothing has been handed over yet.
      if (start === 0 && feeder.binding.fixedBatch === undefined)
        return await predictEach(session, samples, { ...options, batch: 1 }, use)
      throw new UserError(
        `${where}: an output [${mixed.dims.join(',')}] has no row for each of ${last.batch} samples — export the model with a batch of 1`,
      )
    }
    const widths = widthsOf(steps, last.batch)
    each ??= widths
    if (String(widths) !== String(each))
      throw new UserError(
        `${where}: its outputs have ${each.join(' and ')} numbers for one sample and ${widths.join(' and ')} for sample ${start + 1} — use a model whose outputs are always as large`,
      )
    const width = widths.reduce((sum, part) => sum + part, 0)
    if (values.length !== count * width) values = new Float32Array(count * width)
    sideBySide(steps, last.batch, count, values)
    await use(values, start, count, widths)
    options.progress?.(count)
  }
}

function outputsOf(
  session: Session,
  binding: Binding,
  which: 'first' | 'all',
  where: string,
): ValueInfo[] {
  const carried = new Set(binding.carried.map(({ output }) => output))
  const known = new Set(session.outputs.map(({ name }) => name))
  const missing = [...carried].find((name) => !known.has(name))
  if (missing !== undefined)
    throw new UserError(
      `${where}: inputs: there is no output '${missing}' to carry: it has ${[...known].join(', ')} — name one of them`,
    )
  const outputs = session.outputs.filter(
    ({ name, dtype }) => !carried.has(name) && (numberTypes.has(dtype) || dtype === 'float16'),
  )
  if (outputs.length === 0)
    throw new UserError(`${where}: has no output that is a tensor — export it again`)
  return which === 'first' ? outputs.slice(0, 1) : outputs
}

/** Tells of outputs whether their first axis is that of the samples, as far as the model says. */
function rowwiseFor({ inputs }: Session, { columns }: Binding): (output: ValueInfo) => boolean {
  const read = new Set(columns.map(({ name }) => name))
  const symbols = new Set(
    inputs.filter(({ name }) => read.has(name)).map(({ shape: [first] }) => first),
  )
  return ({ shape: [first, ...rest] }) => {
    if (typeof first === 'number') return false
    // Exporters call the same axis differently; it is another one where the samples' own is elsewhere.
    const isElsewhere = rest.some((dim) => typeof dim === 'string' && symbols.has(dim))
    return first === undefined || symbols.has(first) || !isElsewhere
  }
}

/** Numbers a sample of each output, over all steps. */
const widthsOf = (steps: readonly (readonly Tensor[])[], rows: number): number[] =>
  (steps[0] ?? []).map((tensor) => (steps.length * elementsOf(tensor).length) / rows)

/** The outputs of each sample one after the other, and of each output the steps. */
function sideBySide(
  steps: readonly (readonly Tensor[])[],
  rows: number,
  count: number,
  into: Float32Array,
): void {
  const parts = (steps[0] ?? []).flatMap((_, output) =>
    steps.map((results) => elementsOf(results[output]!)),
  )
  const [only] = parts
  if (parts.length === 1 && only instanceof Float32Array) {
    into.set(only.subarray(0, into.length))
    return
  }
  const total = into.length / count
  let offset = 0
  for (const part of parts) {
    const width = part.length / rows
    for (let row = 0; row < count; row++)
      for (let index = 0; index < width; index++)
        into[row * total + offset + index] = Number(part[row * width + index])
    offset += width
  }
}

/** The numbers of a tensor; half precision as float32. */
function elementsOf(tensor: Tensor): ArrayLike<number | bigint> {
  if (tensor.dtype !== 'float16') return elements(tensor, tensor.dtype as ArrayType)
  const { buffer, byteOffset, byteLength } = Uint8Array.from(tensor.bytes)
  return Float32Array.from(new Float16Array(buffer, byteOffset, byteLength / 2))
}
