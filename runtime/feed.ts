// Feeding a model with samples: memory that is made once and filled batch by batch, and the state that is carried from
// one chunk of the samples to the next.
import { UserError } from '../base/errors.ts'
import { type ColumnMemory, columnMemory, type Samples } from '../base/samples.ts'
import { byteLengthOf, sizeOf, Tensor } from '../onnx/tensor.ts'
import { type Binding, bindInputs, type ColumnInput, constantTensor, firstState } from './bind.ts'
import { writeNumbers } from './convert.ts'
import type { Session } from './session.ts'

/** Tensors by the name of the input or output. */
export type Tensors = Readonly<Record<string, Tensor>>

/** Memory for one batch of samples, and what turns it into feeds. */
export interface Feeder {
  readonly binding: Binding
  /** How many samples its memory holds. */
  readonly batch: number
  /** Puts samples into the memory; with fewer than it holds, the rest are these again. */
  load(indices: ArrayLike<number>): void
  /** What the inputs get at a step (a chunk of the samples), but for carried state; valid until the next call. */
  feeds(step: number): Record<string, Tensor>
  /** The carried state to begin with. */
  begin(): Record<string, Tensor>
}

/** Numbers that are fed in one run at most, a sample more or less: activations take many times their memory. */
const largestFeed = 2 ** 20

/**
 * Makes ready to feed a session: `batch` samples a run at most, fewer where samples are large or few; a model with a
 * fixed batch has the last word. Samples that do not fit the model are a {@link UserError}.
 */
export function feederFor(
  session: Pick<Session, 'inputs'>,
  samples: Samples,
  { batch, where, exactly = false }: { batch: number; where: string; exactly?: boolean },
): Feeder {
  const binding = bindInputs(session.inputs, samples, where)
  const { columns, constants, carried, fixedBatch } = binding
  const perSample = columns.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const bearable = exactly
    ? batch
    : Math.max(1, Math.min(batch, samples.size, Math.ceil(largestFeed / Math.max(1, perSample))))
  const rows = fixedBatch ?? bearable
  const used = [...new Set(columns.map(({ column }) => column))]
  const memory = new Map(used.map((at) => [at, columnMemory(samples.columns[at]!, rows)]))
  const tensors = columns.map((input) => ({
    input,
    whole: memory.get(input.column)!,
    tensor: tensorFor(input, rows, memory.get(input.column)!),
  }))
  const known = constants.map((input) => [input.name, constantTensor(input, rows, where)] as const)
  return {
    binding,
    batch: rows,
    load(indices) {
      if (indices.length === 0 || indices.length > rows)
        throw new Error(`internal: ${indices.length} samples for a batch of ${rows}`)
      for (const [at, values] of memory) {
        const width = values.length / rows
        for (let row = 0; row < rows; row++)
          samples.read(indices[row % indices.length]!, at, values, row * width)
      }
    },
    feeds(step) {
      for (const { whole, tensor } of tensors) fill(tensor, whole, rows, step)
      return Object.fromEntries([
        ...tensors.map(({ input, tensor }) => [input.name, tensor] as const),
        ...known,
      ])
    },
    begin: () => Object.fromEntries(carried.map((input) => [input.name, firstState(input, rows)])),
  }
}

/** A tensor for an input: over the column's own memory where nothing is to be changed. */
function tensorFor({ dtype, shape }: ColumnInput, rows: number, memory: ColumnMemory): Tensor {
  const dims = [rows, ...shape]
  const bytes =
    sizeOf(dims) === memory.length && isOf(memory, dtype)
      ? new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength)
      : new Uint8Array(byteLengthOf(dtype, dims))
  return new Tensor(dtype, dims, bytes)
}

const isOf = (memory: ColumnMemory, dtype: string): boolean =>
  (memory instanceof Float32Array && dtype === 'float32') ||
  (memory instanceof Int32Array && dtype === 'int32') ||
  (memory instanceof Uint8Array && dtype === 'uint8')

/** Copies what a step takes of every sample, its chunk or all of it, where the tensor has memory of its own. */
function fill(tensor: Tensor, whole: ColumnMemory, rows: number, step: number): void {
  if (tensor.bytes.buffer === whole.buffer) return
  const width = whole.length / rows
  const part = tensor.size / rows
  for (let row = 0; row < rows; row++) {
    const start = row * width + (part === width ? 0 : step * part)
    writeNumbers(tensor, whole.subarray(start, start + part), row * part)
  }
}

/**
 * Runs a model on the samples that a feeder has loaded, step by step, and gives the wanted outputs of each.
 *
 * A carried output that the model lacks is a {@link UserError}.
 */
export async function* runSteps(
  session: Session,
  feeder: Feeder,
  outputs: readonly string[],
): AsyncGenerator<Tensors, void, void> {
  const { carried, steps } = feeder.binding
  const fetched = [...new Set([...outputs, ...carried.map(({ output }) => output)])]
  let state = feeder.begin()
  for (let step = 0; step < steps; step++) {
    const results = await session.run({ ...feeder.feeds(step), ...state }, fetched)
    yield results
    state = Object.fromEntries(
      carried.map(({ name, output, dtype, dims }) => {
        const tensor = results[output]!
        const expected = dims(feeder.batch)
        if (tensor.dtype !== dtype || String(tensor.dims) !== String(expected))
          throw new UserError(
            `inputs.${name}.carry: output '${output}' is ${tensor.dtype} [${tensor.dims.join(',')}], the input ${dtype} [${expected.join(',')}] — name the output that the state comes out of`,
          )
        return [name, tensor]
      }),
    )
  }
}
