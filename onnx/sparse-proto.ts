// SparseTensorProto to and from tensors: dense to everyone who looks at them, and saved as they were read.
import type { Origin } from './external.ts'
import { invalid, quote } from './invalid.ts'
import { replaceFields, type SparseTensorProto, type TensorProto } from './proto.ts'
import { byteLengthOf, dataTypes, elements, sizeOf, Tensor } from './tensor.ts'
import { inlineExternalData, readDims, readTensor, type TensorExtra } from './tensor-proto.ts'

/** Largest dense form of a sparse tensor that is made, in bytes: a few bytes of a file can ask for any size. */
const largestDense = 2 ** 31

/** Reads a sparse tensor as the dense one it stands for, made when its bytes are asked for. */
export function readSparseTensor(message: SparseTensorProto, origin: Origin): Tensor {
  if (!message.values || !message.indices)
    throw invalid('a sparse tensor has no values or no indices')
  const values = readTensor(message.values, origin)
  const indices = readTensor(message.indices, origin)
  const name = `sparse tensor ${quote(message.values.name)}`
  const dims = readDims(message.dims, name)
  const width = dataTypes[values.dtype].bits / 8
  const count = values.size
  const linear = indices.dims.length === 1
  const [entries, axes = 1] = indices.dims
  if (width < 1 || byteLengthOf(values.dtype, dims) > largestDense)
    throw invalid(`${name} cannot be made dense: ${values.dtype} [${dims.join(',')}]`)
  if (indices.dtype !== 'int64' || entries !== count || !(linear || axes === dims.length))
    throw invalid(`${name} has indices that do not fit its values`)
  const offsets = linear
    ? Float64Array.from(elements(indices, 'int64'), Number)
    : flatOffsets(Float64Array.from(elements(indices, 'int64'), Number), dims)
  const size = sizeOf(dims)
  if (offsets.some((offset) => !(offset >= 0 && offset < size)))
    throw invalid(`${name} has indices outside its shape [${dims.join(',')}]`)
  const sorted = offsets.toSorted()
  if (sorted.some((offset, place) => offset === sorted[place - 1]))
    throw invalid(`${name} has two values at one index`)
  // Only now: written again, the message must not refer to another file.
  inlineExternalData(message, origin)
  const extra: TensorExtra = { form: 'sparse', message }
  return new Tensor(values.dtype, dims, () => scatter(values.bytes, offsets, width, size), {
    extra,
  })
}

/** Row-major offsets of coordinates `[count, rank]`; NaN where one is outside its axis. */
function flatOffsets(coordinates: Float64Array, dims: readonly number[]): Float64Array {
  return Float64Array.from({ length: coordinates.length / dims.length }, (_, row) =>
    dims.reduce((offset, size, axis) => {
      const index = coordinates[row * dims.length + axis]!
      return index >= 0 && index < size ? offset * size + index : Number.NaN
    }, 0),
  )
}

function scatter(
  values: Uint8Array,
  offsets: Float64Array,
  width: number,
  size: number,
): Uint8Array {
  const dense = new Uint8Array(size * width)
  for (const [index, offset] of offsets.entries())
    dense.set(values.subarray(index * width, (index + 1) * width), offset * width)
  return dense
}

/** The sparse message that a tensor was read from, under a name; undefined for dense tensors. */
export function writeSparseTensor(
  tensor: Tensor,
  name: string,
): Partial<SparseTensorProto> | undefined {
  // `extra` of a tensor is set by its readers alone.
  const extra = tensor.extra as TensorExtra | undefined
  if (extra?.form !== 'sparse') return undefined
  const { values } = extra.message
  return replaceFields<SparseTensorProto>(extra.message as SparseTensorProto, {
    values: replaceFields(values ?? undefined, { name }) as TensorProto,
  })
}
