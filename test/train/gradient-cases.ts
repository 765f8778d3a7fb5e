// What the gradient rules are tried on: for every operator a few nodes with inputs drawn away from its kinks.
import type { Attributes } from '../../onnx/build.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { activationCases } from './cases/activations.ts'
import { arrangementCases } from './cases/arrangement.ts'
import { attentionCases } from './cases/attention.ts'
import {
  broadcast,
  type Drawn,
  distinct,
  elementwise,
  floats,
  type GradientCase,
  nonzero,
  one,
  positive,
  sixteenths,
  wide,
  x,
} from './cases/case.ts'
import { einsumCases } from './cases/einsum.ts'
import { indexingCases } from './cases/indexing.ts'
import { normalizationCases } from './cases/normalization.ts'
import { quantizationCases } from './cases/quantization.ts'
import { recurrentCases } from './cases/recurrent.ts'
import { reductionCases } from './cases/reductions.ts'
import { lossOperatorCases, samplingCases } from './cases/sampling.ts'
import { windowCases } from './cases/window.ts'

const softmax: readonly GradientCase[] = [
  one([x(3, 5)]),
  one([x(2, 3, 4)], { axis: 1 }),
  one([x(3, 4)], { axis: 0 }),
  one([x(2, 3, 2)], { axis: -2 }),
]

const reduce: readonly GradientCase[] = [
  one([x(2, 3, 4)]),
  one([x(2, 3, 4)], { keepdims: 0 }),
  one([x(2, 3, 4), [1]]),
  one([x(2, 3, 4), [-1, 0]], { keepdims: 0 }),
  one([x(2, 3, 2, 2), [2, 3]]),
  one([x(2, 3), []]),
  one([x(2, 3), []], { noop_with_empty_axes: 1 }),
  one([x(2, 3)], { noop_with_empty_axes: 1 }),
]

const convolutions: readonly GradientCase[] = [
  one([x(2, 2, 5, 4), x(3, 2, 3, 3), x(3)]),
  one([x(2, 2, 4, 5), x(3, 2, 3, 3)], { pads: [1, 1, 1, 1] }),
  one([x(2, 2, 3, 4), x(3, 2, 1, 1), x(3)]),
  one([x(2, 2, 4, 4), x(3, 2, 1, 1)], { strides: [2, 2] }),
  one([x(1, 2, 3, 3), x(2, 2, 1, 1)], { pads: [1, 0, 2, 1] }),
  one([x(1, 2, 7, 6), x(2, 2, 3, 3)], { strides: [2, 2], pads: [1, 1, 1, 1] }),
  one([x(1, 2, 6, 6), x(2, 2, 3, 3)], { strides: [2, 2], pads: [0, 0, 1, 1] }),
  one([x(1, 2, 7, 5), x(2, 2, 2, 3)], { strides: [3, 1], pads: [0, 2, 1, 0] }),
  one([x(1, 1, 8, 8), x(2, 1, 2, 2)], { strides: [3, 3] }),
  one([x(1, 2, 7, 6), x(2, 2, 3, 2)], { dilations: [2, 3], pads: [2, 1, 0, 1] }),
  one([x(1, 2, 8, 7), x(2, 2, 3, 2)], { dilations: [2, 1], strides: [2, 3], pads: [1, 1, 2, 0] }),
  one([x(2, 4, 4, 4), x(6, 2, 3, 3), x(6)], { group: 2, pads: [1, 1, 1, 1] }),
  one([x(1, 4, 5, 5), x(4, 2, 3, 3)], { group: 2, strides: [2, 2], pads: [1, 1, 1, 1] }),
  one([x(2, 3, 4, 4), x(3, 1, 3, 3), x(3)], { group: 3, pads: [1, 1, 1, 1] }),
  one([x(1, 3, 6, 5), x(3, 1, 3, 3)], { group: 3, strides: [2, 2], pads: [0, 1, 1, 1] }),
  one([x(1, 2, 5, 5), x(4, 1, 3, 3)], { group: 2, dilations: [2, 2], pads: [2, 2, 2, 2] }),
  one([x(1, 2, 5, 6), x(2, 2, 3, 2)], { auto_pad: 'SAME_UPPER' }),
  one([x(1, 2, 5, 6), x(2, 2, 2, 3)], { auto_pad: 'SAME_LOWER', strides: [2, 2] }),
  one([x(1, 2, 7, 6), x(2, 2, 3, 4)], { auto_pad: 'SAME_UPPER', strides: [2, 3] }),
  one([x(1, 1, 7, 7), x(2, 1, 2, 1)], { auto_pad: 'SAME_UPPER', strides: [3, 2] }),
  one([x(1, 2, 6, 5), x(2, 2, 3, 3)], { auto_pad: 'VALID', strides: [2, 1] }),
  // The pads are wider than the window.
  one([x(1, 1, 3, 3), x(2, 1, 2, 2)], { pads: [3, 2, 2, 3] }),
  one([x(1, 1, 3, 3), x(2, 1, 2, 2)], { pads: [3, 2, 2, 3], strides: [2, 2] }),
  // Kernels of so many cells that their gradient is a convolution of its own.
  one([x(2, 2, 80), x(3, 2, 66), x(3)], { pads: [3, 1] }),
  one([x(1, 4, 150), x(4, 2, 65)], { strides: [3], dilations: [2], pads: [2, 1], group: 2 }),
  one([x(2, 2, 11, 10), x(2, 1, 9, 8)], { strides: [2, 1], pads: [1, 0, 2, 3], group: 2 }),
  one([x(2, 3, 9), x(4, 3, 3), x(4)], { pads: [1, 1] }),
  one([x(2, 4, 10), x(4, 2, 4)], { strides: [3], pads: [2, 1], group: 2 }),
  one([x(1, 3, 9), x(3, 1, 3)], { dilations: [3], group: 3, pads: [3, 3] }),
  one([x(1, 2, 3, 4, 3), x(2, 2, 2, 3, 2), x(2)], { pads: [1, 1, 0, 0, 1, 1] }),
  one([x(1, 2, 4, 4, 5), x(2, 1, 2, 2, 3)], { group: 2, strides: [2, 1, 2] }),
]

const pools: readonly Attributes[] = [
  { kernel_shape: [2, 2], strides: [2, 2] },
  { kernel_shape: [2, 2] },
  { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
  { kernel_shape: [3, 2], strides: [2, 1], pads: [0, 1, 2, 0] },
  { kernel_shape: [2, 2], strides: [3, 3] },
  { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 },
  { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
  // Where a last window would begin in the padding, ONNX Runtime's inferred shape is wrong: no model has such a pool.
  { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 },
  { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 1, 0, 0], ceil_mode: 1 },
  { kernel_shape: [1, 2], strides: [2, 2], pads: [0, 1, 0, 1], ceil_mode: 1 },
  { kernel_shape: [2, 2], dilations: [2, 3], pads: [1, 1, 0, 1] },
  { kernel_shape: [2, 3], dilations: [2, 1], strides: [2, 2], ceil_mode: 1 },
  { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' },
  { kernel_shape: [2, 3], strides: [1, 2], auto_pad: 'SAME_LOWER' },
  { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'VALID' },
]

const pooling = (draw: (...dims: readonly number[]) => Drawn): GradientCase[] => [
  ...pools.map((attributes) => one([draw(1, 2, 5, 6)], attributes)),
  one([draw(2, 2, 7)], { kernel_shape: [3], strides: [2], pads: [1, 0] }),
  one([draw(2, 1, 6)], { kernel_shape: [2], strides: [2] }),
  one([draw(1, 2, 4, 3, 4)], { kernel_shape: [2, 2, 3], strides: [2, 1, 1] }),
  one([draw(1, 1, 4, 4, 4)], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] }),
]

const normalization = (...dims: readonly number[]): GradientCase['inputs'] => {
  const channels = dims[1]!
  const spread = Array.from({ length: channels }, (_, index) => 0.3 + index)
  const mean = spread.map((value) => value / 2 - 0.4)
  return [x(...dims), x(channels), x(channels), floats(...mean), floats(...spread)]
}

const padding = [one([x(3, 4), [1, 0, 2, 3]]), one([x(2, 3, 4), [0, 1, 2, 0, 2, 1]])]
const padMode = (mode: string): GradientCase[] =>
  [
    one([x(3, 4), [1, 0, 2, 3]]),
    one([x(2, 3, 4), [0, 2, 2, 0, 1, 0]]),
    one([x(2, 3, 4), [1, 3], undefined, [-1]]),
  ].map(({ inputs }) => one(inputs, { mode }))

/** The cases of every operator that has a gradient rule; a new rule is tested by writing its row here. */
export const gradientCases: Readonly<Record<string, readonly GradientCase[]>> = {
  ...activationCases,
  ...arrangementCases,
  ...einsumCases,
  ...indexingCases,
  ...lossOperatorCases,
  ...samplingCases,
  ...attentionCases,
  ...normalizationCases,
  ...quantizationCases,
  ...recurrentCases,
  ...reductionCases,
  ...windowCases,
  Add: broadcast(x, x),
  AveragePool: [
    ...pooling(x),
    ...pools.map((attributes) => one([x(1, 2, 5, 6)], { ...attributes, count_include_pad: 1 })),
  ],
  BatchNormalization: [
    one(normalization(2, 3, 2, 2)),
    one(normalization(4, 2)),
    one(normalization(3, 2, 5), { epsilon: 0.01 }),
    one(normalization(3, 2, 3, 2), {}, { training: true }),
    one(normalization(6, 3), {}, { training: true }),
    one(normalization(2, 2, 4), { epsilon: 0.1 }, { training: true }),
    one(normalization(2, 1, 2, 2, 2), {}, { training: true }),
  ],
  Cast: [
    one([x(2, 3)], { to: 1 }),
    one([x(4)], { to: 11 }, { castBack: true }),
    one([sixteenths(2, 3)], { to: 10 }, { castBack: true }),
  ],
  Clip: [
    one([wide([-1, 2], 3, 5), -1, 2]),
    one([wide([0], 4, 2), 0]),
    one([wide([3], 4, 2), undefined, 3]),
    one([x(3, 2)]),
    one([wide([0, 6], 2, 3, 2, 2), 0, 6]),
    one([x(5), -3.4028234663852886e38, 3.4028234663852886e38]),
  ],
  Concat: [
    one([x(2, 3), x(2, 1), x(2, 2)], { axis: 1 }),
    one([x(1, 3), x(3, 3)], { axis: 0 }),
    one([x(2, 2, 2), x(2, 2, 3)], { axis: -1 }),
    one([x(2), floats(1, 2, 3), x(1)], { axis: 0 }),
    one([x(2, 3)], { axis: -2 }),
  ],
  Conv: convolutions,
  Div: broadcast(x, positive),
  Dropout: [one([x(2, 3)]), one([x(2, 3, 2), 0.25])],
  Elu: [...elementwise(nonzero), one([nonzero(3, 2)], { alpha: 0.3 })],
  Exp: elementwise(x),
  Flatten: [
    one([x(2, 3, 2)]),
    one([x(2, 3)], { axis: 0 }),
    one([x(2, 3, 2, 2)], { axis: -1 }),
    one([x(2, 3)], { axis: 2 }),
  ],
  Gemm: [
    one([x(2, 3), x(3, 4)]),
    one([x(2, 3), x(4, 3), x(4)], { transB: 1 }),
    one([x(3, 2), x(3, 4), x(2, 1)], { transA: 1, alpha: 0.5 }),
    one([x(3, 2), x(4, 3), x(1, 4)], { transA: 1, transB: 1, alpha: -1.5, beta: 2 }),
    one([x(2, 3), x(3, 4), x()], { beta: 0.25 }),
    one([x(2, 3), x(3, 4), x(2, 4)]),
    one([x(1, 3), x(3, 1), x(1)], { alpha: 3 }),
  ],
  GlobalAveragePool: [one([x(2, 3, 2, 4)]), one([x(2, 3, 5)]), one([x(1, 2, 2, 2, 3)])],
  HardSigmoid: [
    ...elementwise((...dims) => wide([-2.5, 2.5], ...dims)),
    one([wide([-2, 3], 4, 3)], { alpha: 0.2, beta: 0.4 }),
  ],
  HardSwish: elementwise((...dims) => wide([-3, 3], ...dims)),
  Identity: [one([x(3)]), one([x(2, 3, 2)])],
  LeakyRelu: [...elementwise(nonzero), one([nonzero(3, 2)], { alpha: 0.3 })],
  Log: elementwise(positive),
  LogSoftmax: softmax,
  MatMul: [
    one([x(2, 3), x(3, 4)]),
    one([x(3), x(3)]),
    one([x(3), x(3, 2)]),
    one([x(2, 3), x(3)]),
    one([x(2, 3, 4), x(4, 2)]),
    one([x(2, 2, 3), x(3)]),
    one([x(3), x(2, 3, 2)]),
    one([x(2, 3), x(2, 3, 2)]),
    one([x(2, 3, 2), x(2, 2, 3)]),
    one([x(2, 1, 2, 3), x(3, 3, 2)]),
    one([x(1, 2, 3), x(2, 3, 2)]),
    one([x(2, 2, 3), x(1, 3, 2)]),
    one([x(2, 3, 2, 2), x(2, 2)]),
  ],
  MaxPool: pooling(distinct),
  Mul: broadcast(x, x),
  Neg: elementwise(x),
  PRelu: [
    one([nonzero(2, 3), x(2, 3)]),
    one([nonzero(2, 3, 2, 2), x(3, 1, 1)]),
    one([nonzero(2, 3), x(1)]),
    one([nonzero(2, 3), x(3)]),
  ],
  Pad: [
    ...padding,
    one([x(3, 4), [-1, 0, -1, 2], 1.5]),
    one([x(2, 3), [2, 1], 0.5, [1]]),
    one([x(2, 3), [1, 2, 0, 1], undefined, [-1, 0]]),
    ...padMode('reflect').slice(1, 2),
    one([x(3, 4), [1, 2, 2, 3]], { mode: 'reflect' }),
    ...padMode('edge'),
    ...padMode('wrap'),
  ],
  Pow: [
    ...broadcast(positive, x),
    one([x(2, 3), 2]),
    one([x(2, 3), 3]),
    one([nonzero(4), -1]),
    one([x(5), tensorOf('int64', [], [2])]),
  ],
  ReduceMean: reduce,
  ReduceSum: reduce,
  Relu: elementwise(nonzero),
  Reshape: [
    one([x(2, 6), [3, 4]]),
    one([x(2, 3, 2), [0, -1]]),
    one([x(2, 3), [-1]]),
    one([x(1), []]),
  ],
  Sigmoid: elementwise(x),
  Slice: [
    one([x(5, 4), [1, 0], [4, 2]]),
    one([x(5, 4), [1], [-1], [1]]),
    one([x(3, 7), [0], [7], [1], [2]]),
    one([x(3, 7), [1], [6], [-1], [2]]),
    one([x(8), [1], [8], [0], [3]]),
    one([x(7), [-2], [2 ** 31 - 1], [0]]),
    one([x(5, 2), [-1], [-(2 ** 31)], [0], [-1]]),
    one([x(8), [6], [0], [0], [-2]]),
    one([x(7), [100], [1], [0], [-3]]),
    one([x(4, 6), [3, 0], [0, 6], [0, 1], [-1, 2]]),
    one([x(2, 5), [0, 0], [2, 5]]),
    one([x(6), [2], [3], [0], [5]]),
  ],
  Softmax: softmax,
  Sqrt: elementwise(positive),
  Squeeze: [one([x(1, 3, 1, 2), [0, -2]]), one([x(1, 3, 1)]), one([x(2, 1, 3), [1]])],
  Sub: broadcast(x, x),
  Tanh: elementwise(x),
  Transpose: [
    one([x(2, 3)]),
    one([x(2, 3, 4)], { perm: [1, 2, 0] }),
    one([x(2, 3, 2, 2)], { perm: [0, 2, 3, 1] }),
  ],
  Unsqueeze: [one([x(2, 3), [0, -1]]), one([x(3), [1]]), one([x(2, 2), [3, 1]])],
}
