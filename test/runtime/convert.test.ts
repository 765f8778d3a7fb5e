// Numbers as models want them.
import { describe, expect, it } from '@jest/globals'
import { byteLengthOf, type DataType, elements, numbers, Tensor } from '../../onnx/tensor.ts'
import { writeNumbers } from '../../runtime/convert.ts'

const written = (dtype: DataType, values: readonly number[], offset = 0) => {
  const dims = [values.length + offset]
  const tensor = new Tensor(dtype, dims, new Uint8Array(byteLengthOf(dtype, dims)))
  writeNumbers(tensor, values, offset)
  return tensor
}

describe('writing numbers into a tensor', () => {
  it.each([
    ['float32', [0.5, -1], [0.5, -1]],
    ['float64', [0.1, -1], [0.1, -1]],
    ['int64', [7, -(2 ** 40)], [7, -(2 ** 40)]],
    ['int64', [1.9, -1.9], [1, -1]],
    ['int32', [1.9, -1.9], [1, -1]],
    ['uint64', [1, 2 ** 40], [1, 2 ** 40]],
    ['uint8', [0, 255], [0, 255]],
    ['int8', [-128, 127], [-128, 127]],
    ['bool', [0, 1, 5, -1], [0, 1, 1, 1]],
  ] as const)('%s: %p is %p', (dtype, values, expected) => {
    expect(numbers(written(dtype, values))).toEqual(expected)
  })

  it('float16 is written as its bits, rounded to nearest', () => {
    // 1 = 0x3c00, -2 = 0xc000, 65504 = 0x7bff (IEEE 754 binary16); 0.1 rounds to 0x2e66.
    expect([...elements(written('float16', [1, -2, 65504, 0.1]), 'float16')]).toEqual([
      0x3c00, 0xc000, 0x7bff, 0x2e66,
    ])
  })

  it('begins where it is told and leaves what is before', () => {
    expect(numbers(written('int64', [5, 6], 2))).toEqual([0, 0, 5, 6])
    expect([...elements(written('float16', [1], 1), 'float16')]).toEqual([0, 0x3c00])
    expect(numbers(written('bool', [1], 3))).toEqual([0, 0, 0, 1])
  })
})
