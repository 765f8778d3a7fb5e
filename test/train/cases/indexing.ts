// Cases of operators that read or write elements at given places.
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { distinct, type GradientCase, nonzero, one, x } from './case.ts'

const indices = (dims: readonly number[], ...values: readonly number[]): Tensor =>
  tensorOf('int64', dims, values)
const condition = (...values: readonly number[]): Tensor =>
  tensorOf('bool', [values.length], values)
/** Rows of a tensor of 3x4, without and with repetitions. */
const columns = indices([2, 4], 0, 2, 1, 0, 2, -3, 0, 1)
const repeated = indices([2, 4], 0, 2, 1, 0, 0, -1, 0, 1)

/** Cases by operator. */
export const indexingCases: Readonly<Record<string, readonly GradientCase[]>> = {
  Compress: [
    one([x(3, 4), condition(0, 1, 1)], { axis: 0 }),
    one([x(3, 4), condition(1, 0, 0, 1)], { axis: -1 }),
    one([x(2, 3), condition(0, 1, 0, 1, 1)]),
  ],
  Gather: [
    one([x(5, 3), indices([2, 2], 1, 4, 1, -5)]),
    one([x(5, 3), indices([3], 4, 0, 2)]),
    one([x(5, 3), indices([2], 1, 3)]),
    one([x(4, 3), indices([4], 3, 2, 1, 0)]),
    one([x(4, 3), indices([4], 2, 0, 3, 1)]),
    one([x(2, 4, 3), indices([], -1)], { axis: 1 }),
    one([x(2, 4, 3), indices([1], 2)], { axis: -2 }),
    one([x(2, 3, 4), indices([2, 1], 3, 3)], { axis: 2 }),
    one([x(5), tensorOf('int32', [3], [0, 0, 4])]),
  ],
  GatherElements: [
    one([x(3, 4), columns]),
    one([x(3, 4), repeated], { axis: 0 }),
    one([x(2, 5), indices([2, 3], 4, 4, 0, -1, 1, -5)], { axis: 1 }),
    one([x(2, 2, 3), indices([2, 2, 1], 0, 2, 1, 1)], { axis: -1 }),
  ],
  GatherND: [
    one([x(3, 4), indices([3, 2], 0, 1, 2, 3, 0, 1)]),
    one([x(3, 4), indices([2, 1], -1, 0)]),
    one([x(3, 4, 2), indices([2, 1, 2], 0, -4, 2, 3)]),
    one([x(2, 3, 2), indices([2, 2, 1], 1, 0, 2, -1)], { batch_dims: 1 }),
    one([x(2, 2, 3), indices([2, 2, 1], 1, 0, 2, 2)], { batch_dims: 2 }),
    one([x(2, 3, 4), indices([2, 2, 2], 1, 0, 1, 0, 2, -1, 0, 3)], { batch_dims: 1 }),
  ],
  MaxUnpool: [
    one([x(1, 1, 2, 2), indices([1, 1, 2, 2], 5, 7, 13, 10)], {
      kernel_shape: [2, 2],
      strides: [2, 2],
    }),
    one([x(1, 2, 2), indices([1, 2, 2], 1, 4, 5, 9), [1, 2, 5]], {
      kernel_shape: [2],
      strides: [2],
    }),
  ],
  ScatterElements: [
    one([x(3, 4), columns, x(2, 4)]),
    one([x(2, 5), indices([2, 2], 4, 0, -4, 3), x(2, 2)], { axis: 1 }),
    one([x(3, 4), repeated, x(2, 4)], { axis: 0, reduction: 'add' }),
    one([x(2, 3), indices([2, 4], 0, 2, 0, 0, 1, -1, 1, 1), x(2, 4)], {
      axis: -1,
      reduction: 'add',
    }),
    one([x(3, 4), repeated, nonzero(2, 4)], { reduction: 'mul' }),
    one([nonzero(4), indices([4], 0, 0, 1, 3), tensorOf('float32', [4], [2, 0, 0, 3])], {
      reduction: 'mul',
    }),
    one([nonzero(5), indices([7], 0, 0, 1, 2, 3, 3, 4), { ...x(7), step: 1 }], {
      reduction: 'mul',
    }),
    one([distinct(3, 4), repeated, tensorOf('float32', [2, 4], [9, -9, 0.013, 9, 8, 0.4, 3, 2])], {
      reduction: 'max',
    }),
    one([tensorOf('float32', [3, 4], new Array(12).fill(0.013)), repeated, distinct(2, 4)], {
      reduction: 'max',
    }),
    one([distinct(3, 4), repeated, tensorOf('float32', [2, 4], [9, -9, 0.013, 9, 8, 0.4, 3, 2])], {
      reduction: 'min',
    }),
  ],
  ScatterND: [
    one([x(4, 3), indices([2, 1], 3, -4), x(2, 3)]),
    one([x(3, 4), indices([3, 2], 0, 1, 2, -1, 1, 1), x(3)]),
    one([x(3, 4, 2), indices([2, 1, 2], 0, 1, 2, 3), x(2, 1, 2)]),
    one([x(4, 3), indices([3, 1], 1, 1, -1), x(3, 3)], { reduction: 'add' }),
    one([x(3, 4), indices([4, 2], 0, 1, 2, -1, 0, 1, 1, 1), x(4)], { reduction: 'add' }),
    one([nonzero(4), indices([3, 1], 1, 1, 3), nonzero(3)], { reduction: 'mul' }),
    one([distinct(4), indices([2, 1], 0, 3), tensorOf('float32', [2], [-7, 7])], {
      reduction: 'max',
    }),
  ],
  TopK: [
    one([distinct(3, 5), [2]], {}, { outputs: 2 }),
    one([distinct(4, 3), [3]], { axis: 0, largest: 0 }, { outputs: 2 }),
    one([distinct(2, 4), [1]], { axis: 1 }, { outputs: 2 }),
  ],
}
