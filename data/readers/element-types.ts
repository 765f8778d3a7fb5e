// Elements of arrays in files, by type: how long they are and how they become numbers.
import { UserError } from '../../base/errors.ts'
import type { TensorCell } from '../table.ts'

/** How the elements of an array are stored. */
export type ElementType =
  | 'bool'
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'uint64'
  | 'int64'
  | 'float16'
  | 'bfloat16'
  | 'float32'
  | 'float64'

type Values = TensorCell['values']

interface ElementReader {
  readonly bytes: number
  /** The element at a byte position; exact as far as a double can hold it. */
  read(view: DataView, at: number, little: boolean): number
  /** Memory for so many of them, in the narrowest type that tensors have. */
  values(length: number): Values
}

const int32 = (length: number) => new Int32Array(length)
const float32 = (length: number) => new Float32Array(length)
const byte = (view: DataView, at: number) => view.getUint8(at)

/** Element types by name. */
export const elementTypes: Readonly<Record<ElementType, ElementReader>> = {
  bool: { bytes: 1, read: byte, values: (length) => new Uint8Array(length) },
  uint8: { bytes: 1, read: byte, values: (length) => new Uint8Array(length) },
  int8: {
    bytes: 1,
    read: (view, at) => view.getInt8(at),
    values: (length) => new Int8Array(length),
  },
  uint16: {
    bytes: 2,
    read: (view, at, little) => view.getUint16(at, little),
    values: (length) => new Uint16Array(length),
  },
  int16: {
    bytes: 2,
    read: (view, at, little) => view.getInt16(at, little),
    values: (length) => new Int16Array(length),
  },
  uint32: { bytes: 4, read: (view, at, little) => view.getUint32(at, little), values: int32 },
  int32: { bytes: 4, read: (view, at, little) => view.getInt32(at, little), values: int32 },
  uint64: {
    bytes: 8,
    read: (view, at, little) => Number(view.getBigUint64(at, little)),
    values: int32,
  },
  int64: {
    bytes: 8,
    read: (view, at, little) => Number(view.getBigInt64(at, little)),
    values: int32,
  },
  float16: {
    bytes: 2,
    read: (view, at, little) => float16(view.getUint16(at, little)),
    values: float32,
  },
  // The upper half of a float32.
  bfloat16: {
    bytes: 2,
    read: (view, at, little) => {
      scratch.setUint16(0, view.getUint16(at, little))
      return scratch.getFloat32(0)
    },
    values: float32,
  },
  float32: { bytes: 4, read: (view, at, little) => view.getFloat32(at, little), values: float32 },
  float64: { bytes: 8, read: (view, at, little) => view.getFloat64(at, little), values: float32 },
}

// Two bytes that stay zero behind the two that are written.
const scratch = new DataView(new ArrayBuffer(4))

/** IEEE 754 binary16. */
function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/**
 * Decodes elements into tensors' memory.
 *
 * Whole numbers beyond int32 are a `UserError`, for no model would be given them unchanged; float64
 * is rounded to float32. `whereOf` names the place of an element.
 */
export function decode(
  bytes: Uint8Array,
  type: ElementType,
  little: boolean,
  whereOf: (element: number) => string,
): Values {
  if (type === 'uint8' || type === 'bool') return bytes
  const { bytes: size, read, values } = elementTypes[type]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const into = values(bytes.byteLength / size)
  for (let index = 0; index < into.length; index++) {
    const value = read(view, index * size, little)
    into[index] = value
    if (into instanceof Int32Array && into[index] !== value)
      throw new UserError(
        `${whereOf(index)}: beyond 32-bit integers: ${value} — save smaller numbers, or floats`,
      )
  }
  return into
}
