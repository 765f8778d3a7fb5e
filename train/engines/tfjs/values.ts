// Between tensors of ONNX and of TensorFlow.js, which knows float32, int32 and bool.
import { UserError } from '../../../base/errors.ts'
import {
  type ArrayType,
  type DataType,
  elements,
  numbers,
  numberTypes,
  type Tensor,
} from '../../../onnx/tensor.ts'
import type { Tf, TfTensor } from './tensorflow.ts'

/** The types of TensorFlow.js in which numbers of ONNX's types are held. */
const types: Partial<Record<DataType, 'float32' | 'int32' | 'bool'>> = {
  float32: 'float32',
  float64: 'float32',
  int8: 'int32',
  uint8: 'int32',
  int16: 'int32',
  uint16: 'int32',
  int32: 'int32',
  uint32: 'int32',
  int64: 'int32',
  uint64: 'int32',
  bool: 'bool',
}

/** The type that holds one of ONNX's; a {@link UserError} where there is none (strings, 16-bit floats). */
export function typeFor(dtype: DataType, where: string): 'float32' | 'int32' | 'bool' {
  const type = types[dtype]
  if (!type)
    throw new UserError(`${where}: engine 'tfjs' does not have type ${dtype} — use engine 'onnx'`)
  return type
}

/** A tensor for TensorFlow.js, which may go on reading the memory; whole numbers beyond 32 bits are saturated. */
export function toTf(tf: Tf, tensor: Tensor, where: string): TfTensor {
  const dtype = typeFor(tensor.dtype, where)
  const dims = [...tensor.dims]
  if (tensor.dtype === 'float32') return tf.tensor(elements(tensor, 'float32'), dims, dtype)
  if (tensor.dtype === 'bool') return tf.tensor(elements(tensor, 'bool'), dims, dtype)
  const plain = numbers(tensor)
  if (dtype === 'float32') return tf.tensor(Float32Array.from(plain), dims, dtype)
  const whole = Int32Array.from(plain, (value) =>
    Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), value)),
  )
  return tf.tensor(whole, dims, dtype)
}

/** Writes the numbers of TensorFlow.js into the memory of a tensor of as many elements. */
export function writeInto(target: Tensor, values: ArrayLike<number>): void {
  if (!numberTypes.has(target.dtype))
    throw new Error(`internal: ${target.dtype} tensor written as numbers`)
  const into = elements(target, target.dtype as ArrayType)
  if (into instanceof BigInt64Array || into instanceof BigUint64Array)
    for (let index = 0; index < into.length; index++) into[index] = BigInt(values[index]!)
  else into.set(values)
}
