// Running a model over many samples: one batch in memory at a time, whatever batch size the model allows.
import { throwIfAborted, UserError } from '../base/errors.ts'
import type { Model } from '../onnx/graph.ts'
import { elements, sizeOf, tensorOf } from '../onnx/tensor.ts'
import type { ProviderName } from './providers.ts'
import { type Session, type ValueInfo, withSession } from './session.ts'

/** Numbered samples of one shape (a data set is one). */
export interface Samples {
  readonly size: number
  readonly shape: readonly number[]
  /** Writes one sample, row-major, to `into` from `offset` on. */
  read(index: number, into: Float32Array, offset: number): void
}

/** How samples are run. */
export interface PredictOptions {
  readonly provider?: ProviderName
  readonly threads?: number
  /** Samples a run, 64 unless told; a model with a fixed batch has the last word. */
  readonly batch?: number
  readonly signal?: AbortSignal | undefined
  readonly where?: string
  /** Told the number of samples after each batch. */
  readonly progress?: (samples: number) => void
}

/** The first output for every sample. */
export interface Predictions {
  /** `[size, width]`, row-major. */
  readonly outputs: Float32Array
  readonly width: number
}

/**
 * Gives the first output of a model for every sample.
 *
 * The model needs one float32 input that fits the samples; what does not fit is a {@link UserError}.
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
  const { where = 'model', signal } = options
  const input = soleInput(session, where)
  const output = session.outputs[0]
  if (!output) throw new UserError(`${where}: has no output that is a tensor — export it again`)
  const fixed = checkShape(input, samples.shape, where)
  const batch = fixed ?? Math.max(1, Math.min(options.batch ?? 64, samples.size))
  const width = sizeOf(samples.shape)
  const buffer = new Float32Array(batch * width)
  let outputs = new Float32Array()
  let outputWidth = 0
  for (let start = 0; start < samples.size; start += batch) {
    throwIfAborted(signal)
    // The native call blocks; let timers and signals have their turn.
    await new Promise(setImmediate)
    const count = Math.min(batch, samples.size - start)
    for (let row = 0; row < count; row++) samples.read(start + row, buffer, row * width)
    // A fixed batch is filled up with what the buffer still holds; those rows are not kept.
    const rows = fixed ?? count
    const feed = tensorOf('float32', [rows, ...samples.shape], buffer.subarray(0, rows * width))
    const result = (await session.run({ [input.name]: feed }, [output.name]))[output.name]!
    const values = elements(result, 'float32')
    if (start === 0) {
      outputWidth = values.length / rows
      outputs = new Float32Array(samples.size * outputWidth)
    }
    outputs.set(values.subarray(0, count * outputWidth), start * outputWidth)
    options.progress?.(count)
  }
  return { outputs, width: outputWidth }
}

function soleInput(session: Session, where: string): ValueInfo {
  const [input, ...others] = session.inputs
  if (!input || others.length > 0)
    throw new UserError(
      `${where}: a model with one input is needed: it has ${session.inputs.length} — make the others constant`,
    )
  if (input.dtype !== 'float32')
    throw new UserError(
      `${where}: input '${input.name}' must be float32: ${input.dtype} — export it with float inputs`,
    )
  return input
}

/** Compares an input with the samples and gives the batch size where the model fixes one. */
export function checkShape(
  input: ValueInfo,
  shape: readonly number[],
  where: string,
): number | undefined {
  const [batch, ...rest] = input.shape
  const fits =
    rest.length === shape.length &&
    rest.every((dim, axis) => typeof dim !== 'number' || dim === shape[axis])
  if (!fits)
    throw new UserError(
      `${where}: input '${input.name}' [${input.shape.map((dim) => dim ?? '?').join(',')}] does not fit the data: one sample is [${shape.join(',')}] — use other data or preprocessing`,
    )
  return typeof batch === 'number' ? batch : undefined
}
