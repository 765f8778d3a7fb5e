// Calibration from activations that were recorded elsewhere: arrays by the name of the value, streamed block by block.
import { extname } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { lengthOf, type SampleColumn, type Samples } from '../../base/samples.ts'
import { type ArrayRows, rowBytes, type StoredArray } from '../../data/readers/arrays.ts'
import { decode, type ElementType } from '../../data/readers/element-types.ts'
import { npzArrays } from '../../data/readers/npz.ts'
import { safetensorsArrays } from '../../data/readers/safetensors.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import type { Range } from './arithmetic.ts'
import { type CalibrationOptions, measureRanges } from './calibrate.ts'
import { type Calibrator, calibrators } from './calibrators.ts'

/** The formats of dumps, by ending. */
const formats: Readonly<Record<string, (path: string) => Promise<StoredArray[]>>> = {
  '.safetensors': safetensorsArrays,
  '.npz': npzArrays,
}

/** Whether a file is a dump of activations, by its ending. */
export const isDump = (path: string): boolean => extname(path).toLowerCase() in formats

/** Bytes that are read at once; a row may be larger, but not beyond the second figure. */
const blockBytes = 2 ** 20
const maximumRowBytes = 2 ** 28

/** What was found in a dump. */
export interface DumpedRanges {
  readonly ranges: ReadonlyMap<Value, Range>
  /** Values whose array the dump has. */
  readonly recorded: number
  /** Samples that the model was run on for the other values; 0 where there are none. */
  readonly samples: number
}

/**
 * The ranges of values: of those that the dump has, from all of their array; of the others by running the model on the
 * dump's arrays of its inputs, `samples` rows of them at most.
 *
 * A dump that lacks values and does not have all inputs is a {@link UserError}, as is one that is damaged.
 */
export async function rangesFromDump(
  path: string,
  model: Model,
  values: readonly Value[],
  samples: number,
  options: CalibrationOptions,
): Promise<DumpedRanges> {
  const stored = await formats[extname(path).toLowerCase()]!(path)
  const arrays = new Map(stored.map((array) => [array.name, array]))
  const ranges = new Map<Value, Range>()
  for (const value of values) {
    const array = arrays.get(value.name)
    if (array) ranges.set(value, await rangeOf(checked(array), options))
  }
  const recorded = ranges.size
  const rest = values.filter((value) => !ranges.has(value))
  if (rest.length === 0) return { ranges, recorded, samples: 0 }
  const inputs = model.graph.feeds.map(({ name }) => arrays.get(name))
  if (inputs.some((array) => !array))
    throw new UserError(
      `${path}: lacks activations: '${rest[0]!.name}'${rest.length > 1 ? ` and ${rest.length - 1} more` : ''} — record them too, or all inputs: ${model.graph.feeds.map(({ name }) => `'${name}'`).join(', ')}`,
    )
  const rows = await openRows(path, (inputs as StoredArray[]).map(checked), samples)
  try {
    const { fetch } = rows
    for (const [value, range] of await measureRanges(model, rest, rows, { ...options, fetch }))
      ranges.set(value, range)
  } finally {
    await rows.close()
  }
  return { ranges, recorded, samples: rows.size }
}

/** Refuses an array of which not even a row can be held. */
function checked(array: StoredArray): StoredArray {
  const bytes = rowBytes(array)
  if (bytes > maximumRowBytes)
    throw new UserError(
      `${array.where}: a row has ${bytes} bytes, more than ${maximumRowBytes} — put the samples on the first axis`,
    )
  return array
}

/** The range of all numbers of an array. */
async function rangeOf(array: StoredArray, options: CalibrationOptions): Promise<Range> {
  const calibrator = calibrators[options.method] as Calibrator<unknown>
  const { where, type, littleEndian, shape } = array
  const total = shape[0] ?? 1
  if (lengthOf(shape) === 0)
    throw new UserError(`${where}: is empty: [${shape}] — record some samples`)
  const rows = Math.max(1, Math.floor(blockBytes / rowBytes(array)))
  const source = await array.open()
  try {
    let state = calibrator.start()
    for (let start = 0; start < total; start += rows) {
      options.check()
      const bytes = await source.next(Math.min(rows, total - start))
      const values = decode(bytes, type, littleEndian, () => where)
      state = calibrator.observe(
        state,
        values instanceof Float32Array ? values : Float32Array.from(values),
      )
    }
    return calibrator.range(state, options)
  } finally {
    await source.close()
  }
}

/** Samples of which a window is in memory. */
interface Rows extends Samples {
  fetch(first: number, count: number): Promise<void>
  close(): Promise<void>
}

/** The column that elements become. */
const columnTypes: Partial<Record<ElementType, SampleColumn['dtype']>> = {
  float16: 'float32',
  bfloat16: 'float32',
  float32: 'float32',
  float64: 'float32',
  uint8: 'uint8',
}

/** The arrays of the inputs as samples, of which those that were fetched last can be read. */
async function openRows(
  path: string,
  arrays: readonly StoredArray[],
  samples: number,
): Promise<Rows> {
  const counts = new Set(arrays.map(({ shape }) => shape[0] ?? 0))
  const [count] = counts
  if (counts.size !== 1 || !count)
    throw new UserError(
      `${path}: its inputs have different numbers of samples, or none: ${arrays.map(({ name, shape }) => `'${name}' [${shape}]`).join(', ')} — record one row of each a sample`,
    )
  const columns = arrays.map(
    ({ name, type, shape: [, ...shape] }): SampleColumn => ({
      name,
      shape,
      dtype: columnTypes[type] ?? 'int32',
    }),
  )
  const sources: ArrayRows[] = []
  for (const array of arrays) sources.push(await array.open())
  let [begin, end] = [0, 0]
  let window: Uint8Array[] = arrays.map(() => new Uint8Array(0))
  let decoded: ReturnType<typeof decode>[] = []
  return {
    size: Math.min(count, samples),
    columns,
    async fetch(first, wanted) {
      const parts = await Promise.all(
        arrays.map(async (array, index) => {
          const size = rowBytes(array)
          const kept = window[index]!.subarray((first - begin) * size)
          const fresh = await sources[index]!.next(first + wanted - end)
          return Buffer.concat([kept, fresh])
        }),
      )
      window = parts
      decoded = arrays.map(({ where, type, littleEndian }, index) =>
        decode(window[index]!, type, littleEndian, () => where),
      )
      ;[begin, end] = [first, first + wanted]
    },
    read(index, column, into, offset) {
      const width = lengthOf(columns[column]!.shape)
      const start = (index - begin) * width
      into.set(decoded[column]!.subarray(start, start + width), offset)
    },
    async close() {
      for (const source of sources) await source.close()
    },
  }
}
