// Constants with their axes in another order.
import { dataTypes, sizeOf, Tensor } from './tensor.ts'

/** A typed array by the bits of an element; what the bits mean does not matter here. */
const views = new Map<number, { new (buffer: ArrayBuffer): Cells; new (length: number): Cells }>([
  [8, Uint8Array],
  [16, Uint16Array],
  [32, Uint32Array],
  [64, BigUint64Array],
])

interface Cells extends ArrayBufferView {
  readonly length: number
  [index: number]: number | bigint
}

/** A tensor with its axes in another order: axis i of the result is axis `perm[i]` of the tensor. */
export function permuted(tensor: Tensor, perm: readonly number[]): Tensor {
  if (perm.every((axis, index) => axis === index)) return tensor
  const { bits } = dataTypes[tensor.dtype]
  const View = views.get(bits)
  if (!View) throw new Error(`internal: ${tensor.dtype} tensors are not transposed`)
  const dims = perm.map((axis) => tensor.dims[axis]!)
  const strides = perm.map((axis) => sizeOf(tensor.dims.slice(axis + 1)))
  const source = new View(Uint8Array.from(tensor.bytes).buffer)
  const target = new View(source.length)
  const place = dims.map(() => 0)
  let from = 0
  for (let index = 0; index < target.length; index++) {
    target[index] = source[from]!
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += strides[axis]!
      place[axis]!++
      if (place[axis]! < dims[axis]!) break
      from -= strides[axis]! * dims[axis]!
      place[axis] = 0
    }
  }
  return new Tensor(tensor.dtype, dims, new Uint8Array(target.buffer, 0, target.byteLength))
}
