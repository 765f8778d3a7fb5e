// TensorProto to and from tensors. Whatever form the content has in the file (raw data, typed
// fields, another file), in a tensor it has the layout of raw data.
import { externalContent, type Origin } from './external.ts'
import { invalid, quote } from './invalid.ts'
import type { Packed } from './packed.ts'
import {
  type Int64,
  keepFields,
  numberOf,
  replaceFields,
  type SparseTensorProto,
  type StringStringEntryProto,
  type TensorProto,
} from './proto.ts'
import { byteLengthOf, type DataType, dataTypeOf, dataTypes, sizeOf, Tensor } from './tensor.ts'

/** What a tensor's `extra` holds: the message it was read from, without the content of a dense one; or what is stored. */
export type TensorExtra =
  | { readonly form: 'dense'; readonly message: Partial<TensorProto> }
  | { readonly form: 'sparse'; readonly message: Partial<SparseTensorProto> }
  | { readonly form: 'packed'; readonly packed: Packed }

/** Reads a dense tensor; `bytes` are a view of the message's where the forms are the same. */
export function readTensor(message: TensorProto, origin: Origin): Tensor {
  const name = `tensor ${quote(message.name)}`
  const dtype = dataTypeOf(message.dataType)
  if (!dtype) throw invalid(`${name} has the unknown element type ${message.dataType}`)
  if (Object.hasOwn(message, 'segment')) throw invalid(`${name} is a segment of a larger one`)
  const dims = readDims(message.dims, name)
  const extra: TensorExtra = { form: 'dense', message: withoutContent(message) }
  if (dtype === 'string') {
    const strings = message.stringData
    if (strings.length !== sizeOf(dims))
      throw invalid(`${name} has ${strings.length} strings for the shape [${dims.join(',')}]`)
    return new Tensor(dtype, dims, new Uint8Array(), { strings, extra })
  }
  const byteLength = byteLengthOf(dtype, dims)
  if (message.dataLocation === externalLocation)
    return new Tensor(dtype, dims, externalContent(message.externalData, byteLength, origin), {
      extra,
    })
  const bytes = message.rawData.length > 0 ? message.rawData : readTyped(message, dtype, byteLength)
  if (bytes?.length !== byteLength) {
    const there = bytes ? `${bytes.length} bytes` : 'another number of elements'
    const needed = `${dtype} [${dims.join(',')}] needs ${byteLength} bytes`
    throw invalid(`${name} has ${there}, but ${needed}`)
  }
  return new Tensor(dtype, dims, bytes, { extra })
}

/** The code of TensorProto.DataLocation.EXTERNAL. */
export const externalLocation = 1

function withoutContent(message: TensorProto): Partial<TensorProto> {
  const kept = keepFields(message, ['name', 'docString', 'metadataProps'])
  const tags = Object.values(unpackedTags)
  const $unknowns = kept.$unknowns?.filter((bytes) => !tags.includes(bytes[0] ?? 0))
  return $unknowns ? { ...kept, $unknowns } : kept
}

/** Sizes of a shape that can be: whole, not negative, and few enough for a byte count. */
export function readDims(dims: readonly (Int64 | number)[], name: string): number[] {
  const sizes = dims.map(numberOf)
  let bits = 128
  for (const size of sizes) {
    if (size < 0) throw invalid(`${name} has a negative dimension: [${sizes.join(',')}]`)
    bits *= Math.max(size, 1)
  }
  if (!Number.isSafeInteger(bits))
    throw invalid(`${name} has an absurd shape: [${sizes.join(',')}]`)
  return sizes
}

type TypedField = 'floatData' | 'doubleData' | 'int32Data' | 'int64Data' | 'uint64Data'

/** The field that holds a type's elements where there is no raw data; all others are in `int32Data`. */
const typedFields: Partial<Record<DataType, TypedField>> = {
  float32: 'floatData',
  complex64: 'floatData',
  float64: 'doubleData',
  complex128: 'doubleData',
  int64: 'int64Data',
  uint32: 'uint64Data',
  uint64: 'uint64Data',
}

/** The tag byte before an element of each field where it is not packed. */
const unpackedTags: Record<TypedField, number> = {
  floatData: (4 << 3) | 5,
  doubleData: (10 << 3) | 1,
  int32Data: 5 << 3,
  int64Data: 7 << 3,
  uint64Data: 11 << 3,
}

/** Typed fields as raw data; undefined where they have another number of elements than the shape. */
function readTyped(
  message: TensorProto,
  dtype: DataType,
  byteLength: number,
): Uint8Array | undefined {
  const field = typedFields[dtype] ?? 'int32Data'
  const packed = message[field]
  // The schema knows packed elements alone, as all writers write them; others are among the unknown fields.
  const unpacked = (message.$unknowns ?? []).filter((bytes) => bytes[0] === unpackedTags[field])
  const content = concatenate(
    packed.length > 0 ? packed : unpacked.map((bytes) => bytes.subarray(1)),
  )
  if (field === 'floatData' || field === 'doubleData') return content
  return readVarints(content, Math.max(1, dataTypes[dtype].bits / 8), byteLength)
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1 && chunks[0]) return chunks[0]
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let offset = 0
  for (const chunk of chunks) {
    all.set(chunk, offset)
    offset += chunk.length
  }
  return all
}

/** Varints as little-endian integers of `width` bytes (4-bit types have one int32 a packed byte). */
function readVarints(
  varints: Uint8Array,
  width: number,
  byteLength: number,
): Uint8Array | undefined {
  if (varints.length * width < byteLength) return undefined
  const bytes = new Uint8Array(byteLength)
  let offset = 0
  let low = 0
  let high = 0
  let shift = 0
  for (const byte of varints) {
    const bits = byte & 127
    if (shift < 32) low |= bits << shift
    if (shift === 28) high |= bits >>> 4
    if (shift > 31) high |= bits << (shift - 32)
    shift += 7
    if (byte > 127) {
      if (shift > 63) return undefined
      continue
    }
    if (offset + width > byteLength) return undefined
    for (let index = 0; index < width; index++)
      bytes[offset++] = (index < 4 ? low >>> (8 * index) : high >>> (8 * (index - 4))) & 255
    low = high = shift = 0
  }
  return offset === byteLength && shift === 0 ? bytes : undefined
}

/** Where the bytes of large tensors were put; undefined for tensors that stay in the model's file. */
export type Placement = (tensor: Tensor) => readonly StringStringEntryProto[] | undefined

/** Writes a dense tensor; its content becomes raw data, strings, or a reference to external data. */
export function writeTensor(
  tensor: Tensor,
  name: string | undefined,
  place: Placement,
): Partial<TensorProto> {
  const extra = tensor.extra as TensorExtra | undefined
  const before = extra?.form === 'dense' ? extra.message : {}
  const externalData = place(tensor)
  return replaceFields<Partial<TensorProto>>(before, {
    ...(name === undefined ? {} : { name }),
    dims: tensor.dims,
    dataType: dataTypes[tensor.dtype].code,
    ...(externalData
      ? { externalData, dataLocation: externalLocation }
      : tensor.strings
        ? { stringData: tensor.strings }
        : { rawData: tensor.bytes }),
  })
}

/** Reads external data into messages that are kept unread (functions, training information), in place. */
export function inlineExternalData(message: unknown, origin: Origin): void {
  if (typeof message !== 'object' || message === null || message instanceof Uint8Array) return
  const tensor = message as TensorProto
  if (tensor.dataLocation === externalLocation && tensor.externalData.length > 0) {
    tensor.rawData = readTensor(tensor, origin).bytes
    tensor.externalData = []
    tensor.dataLocation = 0
    return
  }
  for (const field of Object.values(message)) inlineExternalData(field, origin)
}
