// How many elements of a tensor are not zero, whatever their type and wherever zero lies.
import { unpackBits } from './bits.ts'
import { type ArrayType, arrayTypes, dataTypes, elements, sizeOf, type Tensor } from './tensor.ts'

/** What stands for zero among integers. */
export interface ZeroPoints {
  /** Of the type of the integers. */
  readonly tensor: Tensor
  /** How its elements lie beside those of the tensor: as many axes, of the same size, of size 1, or of blocks. */
  readonly dims: readonly number[]
  /** So many neighbours share a zero point along an axis that has neither the same size nor size 1; 1 unless told. */
  readonly block?: number
}

/** The part of each row, which the last axes make up, that counts. */
export interface Used {
  /** Elements of a row. */
  readonly row: number
  /** The first so many of them count. */
  readonly length: number
}

/** Counts elements that differ from their zero point, which is 0 unless told; all of types that have no zero. */
export function countNonzero(tensor: Tensor, zeros?: ZeroPoints, used?: Used): number {
  const codes = codesOf(tensor)
  if (!codes) return tensor.size
  const counts = used && used.length < used.row ? used : undefined
  const points = (zeros && codesOf(zeros.tensor)) ?? [0]
  const first = points[0] ?? 0
  const zeroAt = everyIs(points, first) ? undefined : placing(tensor.dims, zeros!)
  // What is left of a number in floating point without its sign: both zeros are zero.
  const magnitude = signless(tensor)
  let nonzero = 0
  for (let index = 0; index < codes.length; index++) {
    if (counts && index % counts.row >= counts.length) continue
    const code = codes[index]!
    const zero = zeroAt ? points[zeroAt(index)]! : first
    // biome-ignore lint/suspicious/noDoubleEquals: a number is compared with a bigint
    if (magnitude === undefined ? code != zero : (Number(code) & magnitude) !== 0) nonzero++
  }
  return nonzero
}

/** Where the zero point of an element is. */
function placing(
  dims: readonly number[],
  { dims: own, block = 1 }: ZeroPoints,
): (index: number) => number {
  const axes = dims.map((size, axis) => ({
    stride: sizeOf(dims.slice(axis + 1)),
    size,
    shared: own[axis] === size ? 1 : own[axis] === 1 ? size : block,
    own: sizeOf(own.slice(axis + 1)),
  }))
  return (index) => {
    let place = 0
    for (const { stride, size, shared, own: step } of axes)
      place += Math.floor((Math.floor(index / stride) % size) / shared) * step
    return place
  }
}

function everyIs(codes: ArrayLike<number | bigint>, wanted: number | bigint): boolean {
  for (let index = 0; index < codes.length; index++) if (codes[index] !== wanted) return false
  return true
}

/** The bits of a small float without its sign; undefined for types that JavaScript compares as numbers. */
function signless({ dtype }: Tensor): number | undefined {
  const { bits } = dataTypes[dtype]
  return dtype.includes('float') && bits <= 16 ? 2 ** (bits - 1) - 1 : undefined
}

/** The elements as numbers that are equal where the elements are: numbers themselves, or their bits. */
function codesOf(tensor: Tensor): ArrayLike<number | bigint> | undefined {
  const { dtype, bytes, size } = tensor
  const { bits } = dataTypes[dtype]
  if ((arrayTypes as readonly string[]).includes(dtype)) return elements(tensor, dtype as ArrayType)
  if (bits !== 8 && bits !== 4 && bits !== 2) return undefined
  return unpackBits(bytes, bits, size)
}
