// How the numbers of a packed tensor are stored: as they are, in float16 where that holds each of them exactly, or as
// codes into a table of the few numbers that there are (Han et al. 2016, "Deep Compression", 3). Codes are the digits
// of bytes: as many as a byte has room for, so that five of three, two of 16 or one of 200 share it.
import { fromHalves, toHalves } from '../base/float16.ts'
import type { Attributes, Operand } from './build.ts'
import { codeTable } from './code-table.ts'
import type { Value } from './graph.ts'
import { castOf, holds, makerOf } from './patterns.ts'
import { type DataType, dataTypes, elements, numbers, Tensor, tensorOf } from './tensor.ts'

/** Appends an operation and gives its output. */
export type Write = (opType: string, inputs: readonly Operand[], attributes?: Attributes) => Value

/** Numbers as codes. */
export interface Coded {
  /** uint8: `[bytes, 1]`, or `[count]` where a byte holds one code. */
  readonly codes: Tensor
  /** How many codes there are, 2..256. */
  readonly radix: number
  readonly count: number
  /** `[entries]`, or `[channels, entries]`; of the tensor's type, or float16. */
  readonly table: Tensor
}

/** Numbers of a tensor as they are stored: in its type, in float16 or as codes. */
export type StoredValues = Tensor | Coded

/** Largest number of different elements that are told apart by codes. */
export const mostCodes = 256

/** What the nodes that read codes take in the file, about, in bytes. */
const overheads = { half: 90, codes: 520 } as const

/** How many codes a byte holds. */
function codesInByte(radix: number): number {
  let [digits, room] = [0, 1]
  while (room * radix <= 256) [digits, room] = [digits + 1, room * radix]
  return digits
}

/** The bytes that stored numbers take, without names and nodes. */
export const valueBytes = (values: StoredValues): number =>
  'codes' in values ? values.codes.byteLength + values.table.byteLength : values.byteLength

/** The bytes that stored numbers take, about, with names and nodes. */
export const valueCost = (values: StoredValues, dtype: DataType): number =>
  'codes' in values
    ? valueBytes(values) + overheads.codes + (values.table.dtype === dtype ? 0 : overheads.half)
    : values.byteLength + (values.dtype === dtype ? 0 : overheads.half)

/** The form in which numbers take the fewest bytes. */
export function storedValues(values: Tensor): StoredValues {
  const plain = halved(values)
  const few = codedValues(values)
  return few && valueCost(few, values.dtype) < valueCost(plain, values.dtype) ? few : plain
}

/** The same in float16, where that holds each number exactly and takes fewer bytes. */
export function halved(values: Tensor): Tensor {
  if (values.dtype !== 'float32' || values.byteLength / 2 <= overheads.half) return values
  const wide = elements(values, 'float32')
  const narrow = new Uint16Array(wide.length)
  toHalves(wide, narrow)
  const half = tensorOf('float16', values.dims, narrow)
  return Buffer.compare(widened(half, 'float32')!.bytes, values.bytes) === 0 ? half : values
}

/** An element such that it is equal to another where both are so in every bit. */
export type Key = number | bigint

/** The elements of types of whole bytes as keys. */
export function keysOf({ dtype, bytes }: Tensor): ArrayLike<Key> {
  const width = dataTypes[dtype].bits / 8
  const { buffer, byteOffset } = bytes.byteOffset % width === 0 ? bytes : Uint8Array.from(bytes)
  const count = bytes.length / width
  if (width === 1) return new Uint8Array(buffer, byteOffset, count)
  if (width === 2) return new Uint16Array(buffer, byteOffset, count)
  if (width === 4) return new Uint32Array(buffer, byteOffset, count)
  return new BigUint64Array(buffer, byteOffset, count)
}

/** Numbers as codes into a table of those that there are, in order of appearance; undefined where there are too many. */
function codedValues(values: Tensor): Coded | undefined {
  const keys = keysOf(values)
  const table = codeTable<Key>(Math.min(mostCodes, keys.length / 2))
  const codes = new Uint8Array(keys.length)
  for (let at = 0; at < keys.length; at++) {
    const code = table.codeOf(keys[at]!, at)
    if (code === undefined) return undefined
    codes[at] = code
  }
  return coded(codes, table.firsts.length, halved(picked(values, table.firsts)))
}

/** Some elements of a tensor as a vector. */
export function picked({ dtype, bytes }: Tensor, places: ArrayLike<number>): Tensor {
  const width = dataTypes[dtype].bits / 8
  const own = new Uint8Array(places.length * width)
  for (let at = 0; at < places.length; at++) {
    const from = places[at]! * width
    for (let byte = 0; byte < width; byte++) own[at * width + byte] = bytes[from + byte]!
  }
  return new Tensor(dtype, [places.length], own)
}

/** Codes of one row of `entries` each as they are stored. */
export function coded(codes: Uint8Array, entries: number, table: Tensor): Coded {
  const radix = Math.max(2, entries)
  const digits = codesInByte(radix)
  const { length: count } = codes
  if (digits === 1) return { codes: tensorOf('uint8', [count], codes), radix, count, table }
  const bytes = new Uint8Array(Math.ceil(count / digits))
  for (let at = 0; at < count; at++)
    bytes[Math.floor(at / digits)]! += codes[at]! * radix ** (at % digits)
  return { codes: tensorOf('uint8', [bytes.length, 1], bytes), radix, count, table }
}

/** The codes, one a byte; undefined where they do not fit their number or a table of so many entries. */
export function codesOf(
  { codes, radix, count }: Omit<Coded, 'table'>,
  entries: number,
): Uint8Array | undefined {
  if (radix < 2 || radix > mostCodes) return undefined
  const digits = codesInByte(radix)
  if (codes.size !== Math.ceil(count / digits)) return undefined
  const found = new Uint8Array(count)
  for (let at = 0; at < count; at++) {
    const byte = codes.bytes[Math.floor(at / digits)]!
    found[at] = Math.floor(byte / radix ** (at % digits)) % radix
    if (found[at]! >= entries) return undefined
  }
  return found
}

/** Numbers of float16 in a type, all others as they are. */
export function widened(values: Tensor, dtype: DataType): Tensor | undefined {
  if (values.dtype === dtype) return values
  if (values.dtype !== 'float16' || dtype !== 'float32') return undefined
  const wide = new Float32Array(values.size)
  fromHalves(elements(values, 'float16'), wide)
  return tensorOf('float32', values.dims, wide)
}

/** The numbers that are stored, `[count]`; undefined where they do not fit each other. */
export function valuesOf(values: StoredValues, dtype: DataType): Tensor | undefined {
  if (!('codes' in values)) return widened(values, dtype)
  const table = widened(values.table, dtype)
  const codes = table && codesOf(values, table.size)
  if (!table || !codes) return undefined
  return picked(table, codes)
}

/** Writes stored numbers as a value `[count]`, or constant numbers as they are. */
export function writeValues(write: Write, values: StoredValues, dtype: DataType): Operand {
  if ('codes' in values)
    return write('Gather', [writeNumbers(write, values.table, dtype), writeCodes(write, values)], {
      axis: 0,
    })
  return writeNumbers(write, values, dtype)
}

/** Writes numbers in a type. */
export const writeNumbers = (write: Write, values: Tensor, dtype: DataType): Operand =>
  values.dtype === dtype ? values : write('Cast', [values], { to: dataTypes[dtype].code })

/** Writes codes as int32 `[count]`. */
export function writeCodes(write: Write, { codes, radix, count }: Coded): Value {
  const bytes = write('Cast', [codes], { to: dataTypes.int32.code })
  const digits = codesInByte(radix)
  if (digits === 1) return bytes
  const shifted = write('Div', [bytes, powersOf(radix)])
  const flat = write('Reshape', [write('Mod', [shifted, tensorOf('int32', [], [radix])]), [-1]])
  return codes.size * digits === count ? flat : write('Slice', [flat, [0], [count], [0]])
}

const powersOf = (radix: number): Tensor => {
  const digits = codesInByte(radix)
  const powers = Array.from({ length: digits }, (_, digit) => radix ** digit)
  return tensorOf('int32', [1, digits], powers)
}

/** What {@link writeValues} has written, if the value is that, and the type of the numbers. */
export function readValues(
  value: Value,
): { readonly values: StoredValues; readonly dtype: DataType } | undefined {
  const numbersThere = readNumbers(value)
  if (numbersThere) return numbersThere
  const gather = makerOf(value, 'Gather')
  if (gather?.number('axis', 0) !== 0) return undefined
  const table = readNumbers(gather.input(0))
  const codes = readCodes(gather.input(1))
  if (!table || !codes || table.values.dims.length !== 1) return undefined
  return { values: { ...codes, table: table.values }, dtype: table.dtype }
}

/** What {@link writeNumbers} has written. */
export function readNumbers(
  value: Value,
): { readonly values: Tensor; readonly dtype: DataType } | undefined {
  if (value.tensor) return { values: value.tensor, dtype: value.tensor.dtype }
  const narrow = castOf(value, 'float32')?.tensor
  return narrow?.dtype === 'float16' ? { values: narrow, dtype: 'float32' } : undefined
}

/** What {@link writeCodes} has written. */
export function readCodes(value: Value): Omit<Coded, 'table'> | undefined {
  const single = castOf(value, 'int32')?.tensor
  if (single?.dtype === 'uint8' && single.dims.length === 1)
    return { codes: single, radix: mostCodes, count: single.size }
  const slice = makerOf(value, 'Slice')
  const end = slice?.inputs[2]?.tensor
  const count = end?.dtype === 'int64' && end.size === 1 ? numbers(end)[0] : undefined
  if (
    slice &&
    (count === undefined || !holds(slice.inputs[1], [0]) || !holds(slice.inputs[3], [0]))
  )
    return undefined
  const reshape = makerOf(slice ? slice.input(0) : value, 'Reshape')
  const rest = reshape && holds(reshape.inputs[1], [-1]) && makerOf(reshape.input(0), 'Mod')
  const radixOf = rest ? rest.input(1).tensor : undefined
  if (!rest || radixOf?.dtype !== 'int32' || radixOf.size !== 1) return undefined
  const radix = numbers(radixOf)[0]!
  if (rest.number('fmod', 0) !== 0 || radix < 2 || radix > mostCodes) return undefined
  const shifted = makerOf(rest.input(0), 'Div')
  if (!shifted || !holds(shifted.inputs[1], numbers(powersOf(radix)))) return undefined
  const codes = castOf(shifted.input(0), 'int32')?.tensor
  if (codes?.dtype !== 'uint8' || codes.dims.length !== 2 || codes.dims[1] !== 1) return undefined
  return { codes, radix, count: count ?? codes.size * codesInByte(radix) }
}
