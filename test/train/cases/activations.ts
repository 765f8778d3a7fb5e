// Cases of activations and functions of each element.
import {
  broadcast,
  type Drawn,
  elementwise,
  type GradientCase,
  nonzero,
  one,
  positive,
  wide,
  x,
} from './case.ts'

/** Elements between two bounds. */
const between =
  (low: number, high: number) =>
  (...dims: readonly number[]): Drawn => ({ dims, low, high, kinks: [] })

const both = (draw: (...dims: readonly number[]) => Drawn): GradientCase[] =>
  elementwise(draw).slice(1)

const microsoftGelu = [one([x(2, 3, 4)]), one([x(3)])]
const withBias = [one([x(2, 3, 4), x(4)]), one([x(2, 5), x(5)])]

/** Inputs that are combined with broadcasting; no two at a position are alike. */
const extremes: readonly GradientCase[] = [
  [x(2, 3), x(2, 3)],
  [x(5, 6), x(6), x(5, 1)],
  [x(5)],
  [x(2, 3), 0.3],
  [x(4, 2, 5), between(-0.5, 0.5)(2, 1)],
  [x(2, 7), between(-0.5, 0.5)()],
].map((inputs) => one(inputs))

/** Cases by operator. */
export const activationCases: Readonly<Record<string, readonly GradientCase[]>> = {
  Abs: elementwise(nonzero),
  Acos: both(between(-0.9, 0.9)),
  Acosh: both(between(1.2, 4)),
  Asin: both(between(-0.9, 0.9)),
  Asinh: both(x),
  Atan: both(x),
  Atanh: both(between(-0.9, 0.9)),
  Celu: [...elementwise(nonzero), one([nonzero(3, 2)], { alpha: 0.4 })],
  Cos: both(x),
  Cosh: both(x),
  Erf: elementwise(x),
  Gelu: [
    ...elementwise(x),
    one([x(3, 4)], { approximate: 'tanh' }),
    one([x(6)], { approximate: 'none' }),
  ],
  Max: extremes,
  Mean: extremes,
  Min: extremes,
  Mish: elementwise(x),
  Mod: broadcast(between(2.1, 2.9), between(0.8, 1.02))
    .map(({ inputs }) => one(inputs, { fmod: 1 }))
    .slice(0, 7),
  Reciprocal: elementwise(positive),
  Selu: [...elementwise(nonzero), one([nonzero(3, 2)], { alpha: 1.5, gamma: 0.7 })],
  Shrink: [
    one([wide([-0.5, 0.5], 5, 4)]),
    one([wide([-1.5, 1.5], 5, 4)], { lambd: 1.5, bias: 0.75 }),
  ],
  Sin: both(x),
  Sinh: both(x),
  Softplus: elementwise(x),
  Softsign: elementwise(nonzero),
  Sum: extremes,
  Swish: elementwise(x)
    .concat(one([x(4)], { alpha: 0.5 }))
    .map((each) => ({ ...each, opset: 24 })),
  Tan: both(between(-1.2, 1.2)),
  ThresholdedRelu: [one([wide([1], 4, 5)]), one([wide([-0.5], 4, 5)], { alpha: -0.5 })],
  'com.microsoft.BiasGelu': withBias,
  'com.microsoft.FastGelu': [...withBias, ...microsoftGelu],
  'com.microsoft.Gelu': microsoftGelu,
  'com.microsoft.QuickGelu': [...microsoftGelu, one([x(5)], { alpha: 1 })],
}
