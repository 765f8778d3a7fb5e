// Numbers from one type of array to another, as models want them.
import { setFloat16 } from '@petamoriken/float16'
import { type ArrayType, elements, type Tensor } from '../onnx/tensor.ts'

/** Writes numbers into a tensor's memory, from element `offset` on; fractions are cut off where it holds integers. */
export function writeNumbers(tensor: Tensor, values: ArrayLike<number>, offset = 0): void {
  const { dtype, bytes } = tensor
  if (dtype === 'float16') {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let index = 0; index < values.length; index++)
      setFloat16(view, (offset + index) * 2, values[index]!, true)
    return
  }
  const into = elements(tensor, dtype as ArrayType)
  if (into instanceof BigInt64Array || into instanceof BigUint64Array) {
    for (let index = 0; index < values.length; index++)
      into[offset + index] = BigInt(Math.trunc(values[index]!))
    return
  }
  if (dtype === 'bool')
    for (let index = 0; index < values.length; index++)
      into[offset + index] = values[index] === 0 ? 0 : 1
  else into.set(values, offset)
}
