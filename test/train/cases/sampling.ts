// Cases of operators that sample an image between its cells, and of losses that are operators.
import type { Attributes } from '../../../onnx/build.ts'
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { type Drawn, floats, type GradientCase, one, positive, x } from './case.ts'

const none = undefined
const resized = (
  shape: readonly number[],
  scales: readonly number[],
  attributes: Attributes,
  roi?: Tensor,
): GradientCase => one([x(...shape), roi, floats(...scales)], attributes)
const sized = (
  shape: readonly number[],
  sizes: readonly number[],
  attributes: Attributes,
  roi?: Tensor,
): GradientCase => one([x(...shape), roi, none, sizes], attributes)

const coordinates = [
  'half_pixel',
  'half_pixel_symmetric',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
]

const nearest = coordinates.flatMap((mode) => [
  resized([1, 1, 3, 4], [1, 1, 2, 1.6], { coordinate_transformation_mode: mode, mode: 'nearest' }),
])

const rounding = ['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'].flatMap((mode) => [
  resized([1, 1, 5, 6], [1, 1, 0.6, 1.5], {
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: mode,
  }),
])

const between = ['linear', 'cubic'].flatMap((mode) =>
  coordinates.flatMap((coordinate) => [
    sized([1, 2, 4, 5], [1, 2, 7, 3], { coordinate_transformation_mode: coordinate, mode }),
  ]),
)

/** Places of a grid, some of them outside, for axes of 4 cells: none lies where cells meet. */
const gridOf = (aligned: boolean, ...dims: readonly number[]): Drawn => ({
  dims,
  low: -1.4,
  high: 1.4,
  kinks: Array.from({ length: 41 }, (_, index) => (index - 20) / (aligned ? 3 : 4)),
})

const fixedGrid = tensorOf(
  'float32',
  [1, 2, 3, 2],
  [-1.3, 0.2, 0.4, 0.9, 0, 0.1, 1.2, -0.7, -0.4, -0.3, 0.8, -1.4],
)

const gridSamples = ['zeros', 'border', 'reflection'].flatMap((padding_mode) =>
  [0, 1].flatMap((align_corners) =>
    ['linear', 'cubic', 'nearest'].map((mode) =>
      one(
        mode === 'nearest'
          ? [x(1, 2, 4, 4), fixedGrid]
          : [x(2, 2, 4, 4), gridOf(align_corners === 1, 2, 3, 2, 2)],
        { mode, padding_mode, align_corners },
      ),
    ),
  ),
)

/** Cases by operator. */
export const samplingCases: Readonly<Record<string, readonly GradientCase[]>> = {
  AffineGrid: [
    one([x(2, 2, 3), [2, 3, 2, 4]]),
    one([x(1, 2, 3), [1, 1, 3, 3]], { align_corners: 1 }),
    one([x(1, 3, 4), [1, 1, 2, 3, 2]]),
  ],
  GridSample: [...gridSamples, one([x(1, 2, 4, 4, 4), gridOf(false, 1, 2, 1, 2, 3)])],
  Resize: [
    ...nearest,
    ...rounding,
    ...between,
    resized([2, 3, 2, 3], [1, 1, 2, 2], {
      coordinate_transformation_mode: 'asymmetric',
      mode: 'nearest',
      nearest_mode: 'floor',
    }),
    resized([1, 2, 2, 3], [1, 1, 1, 3], { mode: 'nearest' }),
    resized([2, 3], [2, 2], { mode: 'nearest' }),
    resized([1, 1, 4, 4], [1, 1, 1, 1], { mode: 'linear' }),
    resized([1, 1, 4, 4], [2, 0.5], { mode: 'linear', axes: [-1, 2] }),
    resized([1, 1, 2, 3, 4], [1, 1, 2, 1.5, 0.6], { mode: 'linear' }),
    resized([1, 4, 5], [1, 1.5, 0.6], { mode: 'nearest' }),
    resized([4, 5], [1.5, 0.6], { mode: 'linear' }),
    sized([1, 1, 4, 5], [1, 1, 7, 8], { mode: 'cubic', cubic_coeff_a: -0.5, exclude_outside: 1 }),
    sized([1, 1, 6, 8], [4, 9], {
      axes: [2, 3],
      keep_aspect_ratio_policy: 'not_larger',
      mode: 'linear',
    }),
    sized([1, 1, 6, 8], [4, 9], {
      axes: [2, 3],
      keep_aspect_ratio_policy: 'not_smaller',
      mode: 'nearest',
    }),
    sized([1, 1, 8, 7], [1, 1, 3, 4], { antialias: 1, mode: 'linear' }),
    sized([1, 1, 8, 7], [1, 1, 3, 9], { antialias: 1, mode: 'cubic' }),
    sized([1, 1, 8, 7], [1, 1, 3, 4], { antialias: 1, exclude_outside: 1, mode: 'cubic' }),
    sized(
      [1, 1, 4, 5],
      [1, 1, 3, 4],
      { coordinate_transformation_mode: 'tf_crop_and_resize', mode: 'linear' },
      floats(0, 0, 0.1, 0.2, 1, 1, 0.9, 1.3),
    ),
    sized(
      [1, 1, 4, 5],
      [1, 1, 3, 4],
      { coordinate_transformation_mode: 'tf_crop_and_resize', extrapolation_value: 2 },
      floats(0, 0, -0.2, 0.2, 1, 1, 0.9, 0.8),
    ),
    // More cells than one block.
    resized([1, 1, 1, 300], [1, 1, 1, 0.05], { mode: 'linear' }),
    resized([1, 1, 300, 1], [1, 1, 1 / 64, 1], { mode: 'linear' }),
  ],
}

const classes = (dims: readonly number[], ...values: readonly number[]): Tensor =>
  tensorOf('int64', dims, values)
const likelihoods = (draw: (...dims: readonly number[]) => Drawn): GradientCase[] => [
  one([draw(3, 4), classes([3], 0, 3, 1)]),
  one([draw(3, 4), classes([3], 0, 3, 1), positive(4)], { reduction: 'mean' }),
  one([draw(2, 3, 2), classes([2, 2], 0, 2, 1, 1)], { reduction: 'sum' }),
  one([draw(2, 3, 2, 1), classes([2, 2, 1], 0, 2, 1, 1), floats(1, 0.5, 2)], { reduction: 'none' }),
  one([draw(4, 3), classes([4], 0, -100, 1, 2), floats(1, 0.5, 2)], { ignore_index: -100 }),
  one([draw(4, 3), classes([4], 0, 1, 1, 2)], { ignore_index: 1, reduction: 'none' }),
  one([draw(3, 3), tensorOf('int32', [3], [2, 0, 1])], { ignore_index: 0, reduction: 'sum' }),
]

/** Cases of losses by operator. */
export const lossOperatorCases: Readonly<Record<string, readonly GradientCase[]>> = {
  NegativeLogLikelihoodLoss: likelihoods(x),
  SoftmaxCrossEntropyLoss: [
    ...likelihoods(x),
    one([x(2, 3), classes([2], 0, 2)], {}, { outputs: 2 }),
    one([x(2, 3), classes([2], 0, 2)], {}, { outputs: 2, weighted: [1] }),
  ],
}
