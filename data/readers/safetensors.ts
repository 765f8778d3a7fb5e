// The safetensors format of Hugging Face: a JSON header with offsets, then the bytes of all tensors.
import { z } from 'zod'
import { messageOf, UserError } from '../../base/errors.ts'
import { openFile, positionedRows, readAt } from './array-rows.ts'
import { arraySets, elementCount, type StoredArray, tableOfArrays } from './arrays.ts'
import { type ElementType, elementTypes } from './element-types.ts'
import { fileSizeBytes } from './files.ts'
import { defineReader } from './reader.ts'

// As the reference implementation limits it.
const maximumHeaderBytes = 100_000_000
const lengthBytes = 8

const types: ReadonlyMap<string, ElementType> = new Map<string, ElementType>([
  ['BOOL', 'bool'],
  ['U8', 'uint8'],
  ['I8', 'int8'],
  ['U16', 'uint16'],
  ['I16', 'int16'],
  ['U32', 'uint32'],
  ['I32', 'int32'],
  ['U64', 'uint64'],
  ['I64', 'int64'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['F32', 'float32'],
  ['F64', 'float64'],
])

const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().min(0)).max(32),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
})

/**
 * Tensors in one `.safetensors`, named `x_train`, `y_train`, `x_test`, `y_test` or the like, or in a
 * folder with `train.safetensors` and `test.safetensors`. Rows are read by position.
 */
export const safetensors = defineReader({
  summary: 'Tensors in NAME.safetensors with x_train, y_train, x_test …, or train.safetensors …',
  options: z.strictObject({}),
  open: async (place, _options, { log }) =>
    tableOfArrays(await arraySets(place, '.safetensors', safetensorsArrays), log),
})

/** The tensors of a safetensors file, by their own names; what is wrong with the file is a `UserError`. */
export async function safetensorsArrays(path: string): Promise<StoredArray[]> {
  const { header, dataStart } = await readHeader(path)
  const dataBytes = (await fileSizeBytes(path)) - dataStart
  const arrays: StoredArray[] = []
  const ranges: { where: string; begin: number; end: number }[] = []
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const where = `${path}: ${name}`
    const entry = entrySchema.safeParse(value)
    if (!entry.success) throw new UserError(`${where}: no entry of a tensor — fetch the file again`)
    const { dtype, shape, data_offsets } = entry.data
    const [begin, end] = data_offsets
    const type = types.get(dtype)
    if (type === undefined)
      throw new UserError(
        `${where}: elements of type '${dtype}' cannot be read — save it as one of ${[...types.keys()]}`,
      )
    if (end - begin !== elementCount(where, shape) * elementTypes[type].bytes)
      throw new UserError(
        `${where}: ${end - begin} bytes for shape [${shape}] of ${dtype} — fetch the file again`,
      )
    ranges.push({ where, begin, end })
    const array = { name, where, type, littleEndian: true, shape }
    arrays.push({ ...array, open: () => positionedRows(path, dataStart + begin, array) })
  }
  if (arrays.length === 0)
    throw new UserError(`${path}: holds no tensor — write it with safetensors`)
  // The format leaves no holes, so what follows the one before neither overlaps nor ends too late.
  let end = 0
  for (const range of ranges.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (range.begin !== end)
      throw new UserError(
        `${range.where}: begins at byte ${range.begin} but the tensor before it ends at ${end} — fetch the file again`,
      )
    end = range.end
  }
  if (end !== dataBytes)
    throw new UserError(
      `${path}: ${dataBytes} bytes where its tensors need ${end} — fetch the file again`,
    )
  return arrays
}

async function readHeader(path: string): Promise<{ header: object; dataStart: number }> {
  const size = await fileSizeBytes(path)
  if (size < lengthBytes)
    throw new UserError(`${path}: no safetensors file: ${size} bytes — fetch the file again`)
  const file = await openFile(path)
  try {
    const length = await readAt(file, path, 0, lengthBytes)
    const bytes = new DataView(length.buffer).getBigUint64(0, true)
    if (bytes > BigInt(Math.min(maximumHeaderBytes, size - lengthBytes)))
      throw new UserError(
        `${path}: its header cannot have ${bytes} bytes — check that it is a safetensors file`,
      )
    const text = await readAt(file, path, lengthBytes, Number(bytes))
    const header: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text))
    if (header === null || typeof header !== 'object' || Array.isArray(header))
      throw new Error('not an object')
    return { header, dataStart: lengthBytes + Number(bytes) }
  } catch (thrown) {
    if (thrown instanceof UserError) throw thrown
    throw new UserError(
      `${path}: its header is not JSON: ${messageOf(thrown)} — check that it is a safetensors file`,
      { cause: thrown },
    )
  } finally {
    await file.close()
  }
}
