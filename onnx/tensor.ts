// Constant data of a graph. The bytes are as ONNX's raw_data has them (little-endian, row-major, 4-bit types
// packed two to a byte) and are a view of the file they came from until somebody asks for a typed array.

/** Every element type of ONNX, spelt as ONNX Runtime spells it, with its TensorProto code and its width in bits. */
export const dataTypes = {
  float32: { code: 1, bits: 32 },
  uint8: { code: 2, bits: 8 },
  int8: { code: 3, bits: 8 },
  uint16: { code: 4, bits: 16 },
  int16: { code: 5, bits: 16 },
  int32: { code: 6, bits: 32 },
  int64: { code: 7, bits: 64 },
  string: { code: 8, bits: 0 },
  bool: { code: 9, bits: 8 },
  float16: { code: 10, bits: 16 },
  float64: { code: 11, bits: 64 },
  uint32: { code: 12, bits: 32 },
  uint64: { code: 13, bits: 64 },
  complex64: { code: 14, bits: 64 },
  complex128: { code: 15, bits: 128 },
  bfloat16: { code: 16, bits: 16 },
  float8e4m3fn: { code: 17, bits: 8 },
  float8e4m3fnuz: { code: 18, bits: 8 },
  float8e5m2: { code: 19, bits: 8 },
  float8e5m2fnuz: { code: 20, bits: 8 },
  uint4: { code: 21, bits: 4 },
  int4: { code: 22, bits: 4 },
  float4e2m1: { code: 23, bits: 4 },
  float8e8m0: { code: 24, bits: 8 },
  uint2: { code: 25, bits: 2 },
  int2: { code: 26, bits: 2 },
} as const satisfies Record<string, { code: number; bits: number }>

/** The element type of a tensor. */
export type DataType = keyof typeof dataTypes

/** The element type of a TensorProto code; undefined for codes that ONNX does not have. */
export function dataTypeOf(code: number): DataType | undefined {
  for (const [dtype, row] of Object.entries(dataTypes))
    if (row.code === code) return dtype as DataType
  return undefined
}

/** The number of elements of a shape. */
export const sizeOf = (dims: readonly number[]): number => dims.reduce((size, dim) => size * dim, 1)

/** The number of bytes that ONNX's raw_data needs for a shape. */
export const byteLengthOf = (dtype: DataType, dims: readonly number[]): number =>
  Math.ceil((sizeOf(dims) * dataTypes[dtype].bits) / 8)

/**
 * An immutable tensor. Its content may be a function that makes the bytes (reads another file, say): they are made
 * when asked for, and may be forgotten and made again later, so that a large model need not be in memory as a whole.
 */
export class Tensor {
  readonly dtype: DataType
  readonly dims: readonly number[]
  /** Elements of a string tensor, undecoded; undefined for every other type. */
  readonly strings: readonly Uint8Array[] | undefined
  /** What the file said beyond this class; only proto.ts reads it. */
  readonly extra: unknown
  readonly #content: Uint8Array | (() => Uint8Array)
  #made: WeakRef<Uint8Array> | undefined

  constructor(
    dtype: DataType,
    dims: readonly number[],
    content: Uint8Array | (() => Uint8Array),
    rest: { strings?: readonly Uint8Array[]; extra?: unknown } = {},
  ) {
    this.dtype = dtype
    this.dims = dims
    this.#content = content
    this.strings = rest.strings
    this.extra = rest.extra
  }

  /** The elements as raw_data has them. */
  get bytes(): Uint8Array {
    if (typeof this.#content !== 'function') return this.#content
    const bytes = this.#made?.deref() ?? this.#content()
    this.#made = new WeakRef(bytes)
    return bytes
  }

  /** The elements, made anew where they are made at all: for a walk over a large model that keeps none of them. */
  freshBytes(): Uint8Array {
    return typeof this.#content === 'function' ? this.#content() : this.#content
  }

  /** The number of elements. */
  get size(): number {
    return sizeOf(this.dims)
  }

  /** The number of bytes, known without reading them; the sum of the lengths for strings. */
  get byteLength(): number {
    if (this.strings) return this.strings.reduce((sum, string) => sum + string.length, 0)
    return byteLengthOf(this.dtype, this.dims)
  }
}

/** Typed arrays whose elements are one ONNX type each. */
const arrays = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
} as const

/** Types whose elements JavaScript can hold in a typed array (16-bit floats as their bit patterns). */
export type ArrayType = keyof typeof arrays

/** The types that a typed array holds. */
export const arrayTypes = Object.keys(arrays) as readonly ArrayType[]

/** The types whose elements in a typed array are the numbers themselves, not bit patterns. */
export const numberTypes: ReadonlySet<DataType> = new Set<DataType>(
  arrayTypes.filter((type) => type !== 'float16' && type !== 'bfloat16'),
)

type ArrayOf<Type extends ArrayType> = InstanceType<(typeof arrays)[Type]>

/**
 * The elements as a typed array: a view where the bytes are aligned, a copy where they are not.
 *
 * Asking for another type than the tensor has is a bug: it throws `internal:`.
 */
export function elements<Type extends ArrayType>(tensor: Tensor, dtype: Type): ArrayOf<Type> {
  if (tensor.dtype !== dtype) throw new Error(`internal: ${tensor.dtype} tensor read as ${dtype}`)
  const type = arrays[dtype]
  const bytes = tensor.bytes
  const aligned = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0
  const { buffer, byteOffset, byteLength } = aligned ? bytes : Uint8Array.from(bytes)
  // The constructor is one of `arrays`, which the compiler cannot follow through the index.
  const View = type as unknown as new (b: ArrayBufferLike, o: number, n: number) => ArrayOf<Type>
  return new View(buffer, byteOffset, byteLength / type.BYTES_PER_ELEMENT)
}

/** The elements of any real number type as plain numbers; 64-bit integers beyond 2^53 lose precision. */
export function numbers(tensor: Tensor): number[] {
  if (!numberTypes.has(tensor.dtype))
    throw new Error(`internal: ${tensor.dtype} tensor read as numbers`)
  return Array.from(
    elements(tensor, tensor.dtype as ArrayType) as ArrayLike<number | bigint>,
    Number,
  )
}

/** Makes a tensor of a typed array (shared, not copied) or of plain numbers. */
export function tensorOf(
  dtype: ArrayType,
  dims: readonly number[],
  values: ArrayBufferView | readonly number[],
): Tensor {
  const view = ArrayBuffer.isView(values) ? values : arrayFrom(dtype, values as readonly number[])
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  if (bytes.length !== byteLengthOf(dtype, dims))
    throw new Error(`internal: ${bytes.length} bytes for ${dtype} [${dims.join(',')}]`)
  return new Tensor(dtype, dims, bytes)
}

function arrayFrom(dtype: ArrayType, values: readonly number[]): ArrayBufferView {
  if (dtype === 'int64') return BigInt64Array.from(values, saturated)
  if (dtype === 'uint64') return BigUint64Array.from(values, BigInt)
  const type = arrays[dtype] as unknown as { from(values: readonly number[]): ArrayBufferView }
  return type.from(values)
}

/** INT64_MAX and INT64_MIN have no exact neighbours among plain numbers: 2^63 and beyond mean the limit. */
function saturated(value: number): bigint {
  const integer = BigInt(value)
  return BigInt.asIntN(64, integer) === integer
    ? integer
    : value > 0
      ? 2n ** 63n - 1n
      : -(2n ** 63n)
}
