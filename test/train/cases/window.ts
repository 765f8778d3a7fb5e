// Cases of operators with a sliding window.
import type { Attributes } from '../../../onnx/build.ts'
import { distinct, type GradientCase, nonzero, one, x } from './case.ts'

const transposedConvolutions: readonly GradientCase[] = [
  one([x(2, 2, 3, 4), x(2, 3, 3, 3), x(3)]),
  one([x(1, 2, 4, 3), x(2, 3, 3, 2)], { pads: [1, 0, 2, 1] }),
  one([x(2, 2, 3, 3), x(2, 3, 2, 2), x(3)], { strides: [2, 2] }),
  one([x(1, 2, 3, 4), x(2, 2, 3, 3)], { strides: [2, 3], pads: [1, 1, 0, 1] }),
  one([x(1, 2, 3, 3), x(2, 2, 3, 3)], {
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    output_padding: [1, 1],
  }),
  one([x(1, 2, 3, 3), x(2, 2, 2, 2)], { strides: [3, 3], output_padding: [2, 1] }),
  one([x(1, 2, 3, 3), x(2, 2, 2, 2)], { dilations: [2, 3] }),
  one([x(1, 2, 4, 3), x(2, 2, 3, 2)], { dilations: [2, 2], strides: [2, 1], pads: [2, 1, 1, 0] }),
  one([x(2, 4, 3, 3), x(4, 3, 2, 2), x(6)], { group: 2, strides: [2, 2] }),
  one([x(1, 3, 3, 4), x(3, 1, 3, 3), x(3)], { group: 3, pads: [1, 1, 1, 1] }),
  one([x(1, 2, 3, 3), x(2, 2, 3, 3)], { strides: [2, 2], output_shape: [6, 6] }),
  one([x(1, 2, 3, 3), x(2, 2, 3, 2)], { strides: [2, 2], output_shape: [6, 5] }),
  // More room than the windows reach.
  one([x(1, 1, 3, 3), x(1, 2, 2, 2), x(2)], { strides: [2, 3], output_shape: [7, 10] }),
  one([x(1, 2, 3, 4), x(2, 2, 3, 3)], { strides: [2, 2], auto_pad: 'SAME_UPPER' }),
  one([x(1, 2, 3, 4), x(2, 2, 3, 3)], { strides: [2, 2], auto_pad: 'SAME_LOWER' }),
  one([x(1, 2, 3, 4), x(2, 2, 4, 3)], { auto_pad: 'SAME_UPPER' }),
  one([x(1, 2, 3, 3), x(2, 2, 3, 3)], { strides: [2, 2], auto_pad: 'VALID' }),
  one([x(1, 2, 4, 3), x(2, 3, 1, 1)]),
  one([x(2, 3, 5), x(3, 2, 4), x(2)], { strides: [2], pads: [1, 1] }),
  one([x(1, 2, 2, 3, 2), x(2, 2, 2, 2, 3)], { strides: [2, 1, 2], pads: [0, 1, 1, 1, 0, 0] }),
]

const norms: readonly Attributes[] = [
  { kernel_shape: [2, 2], strides: [2, 2] },
  { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
  { kernel_shape: [3, 2], p: 1 },
  { kernel_shape: [2, 3], p: 3, strides: [1, 2], pads: [0, 1, 1, 0] },
  { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
  { kernel_shape: [2, 2], dilations: [2, 3] },
  { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' },
  { kernel_shape: [2, 3], strides: [1, 2], auto_pad: 'SAME_LOWER', p: 4 },
]

/** Cases by operator. */
export const windowCases: Readonly<Record<string, readonly GradientCase[]>> = {
  ConvTranspose: transposedConvolutions,
  GlobalLpPool: [
    one([nonzero(2, 3, 2, 4)]),
    one([nonzero(2, 3, 5)], { p: 1 }),
    one([nonzero(1, 2, 2, 2, 3)], { p: 3 }),
  ],
  GlobalMaxPool: [
    one([distinct(2, 3, 2, 4)]),
    one([distinct(2, 3, 5)]),
    one([distinct(1, 2, 2, 2, 3)]),
  ],
  LpPool: [
    ...norms.map((attributes) => one([nonzero(1, 2, 5, 6)], attributes)),
    one([nonzero(2, 2, 7)], { kernel_shape: [3], strides: [2], pads: [1, 0] }),
    one([nonzero(1, 2, 4, 3, 4)], { kernel_shape: [2, 2, 3], strides: [2, 1, 1] }),
  ],
}
