// Many tensors as one flat vector, so that an optimizer is one update and a training state three arrays.
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { elements, sizeOf } from '../onnx/tensor.ts'

/** Where a tensor lies in the vector. */
export interface Slot {
  readonly name: string
  readonly dims: readonly number[]
  readonly offset: number
  readonly size: number
}

/** Lays initializers out one behind the other. */
export function layOut(values: readonly Value[]): { slots: Slot[]; length: number } {
  let length = 0
  const slots = values.map((value) => {
    const dims = value.tensor!.dims
    const slot = { name: value.name, dims, offset: length, size: sizeOf(dims) }
    length += slot.size
    return slot
  })
  return { slots, length }
}

/** The content of initializers as one vector. */
export function flatten(values: readonly Value[]): Float32Array {
  const { slots, length } = layOut(values)
  const flat = new Float32Array(length)
  for (const [index, { offset }] of slots.entries())
    flat.set(elements(values[index]!.tensor!, 'float32'), offset)
  return flat
}

/** The tensor in a slot of a flat value. */
export function unpack(g: Builder, flat: Value, { offset, size, dims }: Slot): Value {
  return g.Reshape(g.Slice(flat, [offset], [offset + size], [0]), dims)
}

/** Several values as one flat vector. */
export function pack(g: Builder, values: readonly Value[]): Value {
  const rows = values.map((value) => g.Reshape(value, [-1]))
  return rows.length === 1 ? rows[0]! : g.Concat(...rows, { axis: 0 })
}
