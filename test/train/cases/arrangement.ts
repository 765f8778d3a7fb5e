// Cases of operators that choose, repeat, divide or reorder elements by a fixed pattern.
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { type GradientCase, one, x } from './case.ts'

const condition = (dims: readonly number[], ...values: readonly number[]): Tensor =>
  tensorOf('bool', dims, values)
const axis = (value: number): Tensor => tensorOf('int64', [], [value])

/** Cases by operator. */
export const arrangementCases: Readonly<Record<string, readonly GradientCase[]>> = {
  CastLike: [one([x(2, 3), 1]), one([x(4), 0])],
  CenterCropPad: [
    one([x(4, 7), [2, 4]]),
    one([x(4, 3), [7, 4]]),
    one([x(5, 4), [2, 7]]),
    one([x(2, 5, 3), [4, 3]], { axes: [-1, 1] }),
    one([x(2, 3), [2, 3]]),
  ],
  Col2Im: [
    one([x(1, 5, 5), [5, 5], [1, 5]]),
    one([x(2, 8, 9), [4, 4], [2, 2]]),
    one([x(1, 9, 4), [5, 5], [3, 3]], { strides: [2, 2] }),
    one([x(1, 9, 9), [6, 5], [3, 3]], { pads: [1, 1, 1, 1], strides: [2, 2] }),
    one([x(1, 4, 4), [5, 6], [2, 2]], { dilations: [2, 3], strides: [2, 2] }),
  ],
  CumSum: [
    one([x(3, 4), axis(1)]),
    one([x(3, 4), axis(-2)], { exclusive: 1 }),
    one([x(3, 4), axis(0)], { reverse: 1 }),
    one([x(2, 3, 2), axis(1)], { exclusive: 1, reverse: 1 }),
  ],
  DepthToSpace: [
    one([x(1, 8, 2, 3)], { blocksize: 2 }),
    one([x(2, 8, 2, 1)], { blocksize: 2, mode: 'CRD' }),
    one([x(1, 9, 1, 2)], { blocksize: 3, mode: 'DCR' }),
  ],
  Expand: [
    one([x(3, 1), [2, 1, 4]]),
    one([x(1), [3]]),
    one([x(2, 3), [1, 1]]),

    one([x(), [2, 2]]),
  ],
  ReverseSequence: [
    one([x(4, 3), [4, 1, 2]]),
    one([x(2, 4, 2), [3, 4]], { batch_axis: 0, time_axis: 1 }),
  ],
  SpaceToDepth: [one([x(1, 2, 4, 6)], { blocksize: 2 }), one([x(2, 1, 3, 3)], { blocksize: 3 })],
  Split: [
    one([x(6, 2), [1, 3, 2]], {}, { outputs: 3 }),
    one([x(2, 5)], { axis: -1, num_outputs: 2 }, { outputs: 2 }),
    one([x(2, 6), [2, 2, 2]], { axis: 1 }, { outputs: 3, weighted: [1] }),
    one([x(2, 6), [4, 2]], { axis: 1 }, { outputs: 2, weighted: [0] }),
  ],
  Tile: [
    one([x(2, 3), [2, 3]]),
    one([x(2, 3), [1, 2]]),
    one([x(4), [1]]),
    one([x(1, 2, 1), [3, 1, 2]]),
  ],
  Trilu: [
    one([x(3, 4)]),
    one([x(2, 3, 3), axis(1)]),
    one([x(4, 3), axis(-1)], { upper: 0 }),
    one([x(3, 3)], { upper: 0 }),
  ],
  Where: [
    one([condition([2, 3], 1, 0, 0, 1, 1, 0), x(2, 3), x(2, 3)]),
    one([condition([3], 1, 0, 1), x(2, 1), x(1, 3)]),
    one([condition([2, 1], 0, 1), x(), x(2, 3)]),
    one([condition([2, 2], 0, 1, 1, 0), x(2, 2), -100]),
    one([condition([2, 2], 0, 1, 1, 0), 0, x(2, 2)]),
  ],
}
