// Tensors between Condense and ONNX Runtime, sharing memory where the bytes are aligned.
import type { Tensor as OnnxRuntimeTensor } from 'onnxruntime-node'
import { UserError } from '../base/errors.ts'
import { type ArrayType, arrayTypes, type DataType, elements, Tensor } from '../onnx/tensor.ts'
import type { Engine } from './engine.ts'

/** A tensor of onnxruntime-node or onnxruntime-web. */
export type NativeTensor = OnnxRuntimeTensor

/** Element types that ONNX Runtime's JavaScript interface takes as typed arrays. */
const shared: ReadonlySet<DataType> = new Set(arrayTypes.filter((type) => type !== 'bfloat16'))

/**
 * Makes ONNX Runtime's tensor over the same memory (a copy where the bytes are not aligned).
 *
 * bfloat16, 8-bit floats and complex numbers cannot cross: a {@link UserError}.
 */
export function toNative(engine: Engine, tensor: Tensor): NativeTensor {
  const { dtype, dims } = tensor
  if (dtype === 'string') {
    const decoder = new TextDecoder()
    const strings = (tensor.strings ?? []).map((string) => decoder.decode(string))
    return new engine.Tensor('string', strings, dims)
  }
  if (dtype === 'int4' || dtype === 'uint4') return new engine.Tensor(dtype, tensor.bytes, dims)
  if (!shared.has(dtype))
    throw new UserError(
      `tensor of type ${dtype}: ONNX Runtime's JavaScript interface cannot take it — add a Cast to float32 to the model`,
    )
  const data = elements(tensor, dtype as ArrayType)
  // The constructor's overloads name each type with its array; `elements` has made the right one.
  return new engine.Tensor(dtype as 'float32', data as Float32Array, dims)
}

/** Makes a tensor over the memory that ONNX Runtime returned. */
export function fromNative(native: NativeTensor): Tensor {
  const { type, data } = native
  if (Array.isArray(data)) {
    const encoder = new TextEncoder()
    const strings = data.map((string) => encoder.encode(string))
    return new Tensor('string', native.dims, new Uint8Array(0), { strings })
  }
  const view = data as Exclude<typeof data, string[]>
  return new Tensor(
    type,
    native.dims,
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
  )
}
