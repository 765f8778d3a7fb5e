// Reference evaluators of activations and functions of each element.
import { broadcastAt, type Evaluator, fill, nd, numberOf, required } from './nd.ts'

type Parameters = (name: string, fallback: number) => number

const unary =
  (f: (x: number, of: Parameters) => number): Evaluator =>
  ([x], attributes) => {
    const { dims, data } = required(x)
    const of: Parameters = (name, fallback) => numberOf(attributes, name, fallback)
    return nd(
      dims,
      data.map((value) => f(value, of)),
    )
  }

/** A function of the sum of an input and an optional bias. */
const biased =
  (f: (x: number) => number): Evaluator =>
  ([input, bias]) => {
    const x = required(input)
    return fill(x.dims, (position) =>
      f(broadcastAt(x, position) + (bias ? broadcastAt(bias, position) : 0)),
    )
  }

/** 2/√π ∫₀ˣ e^(-t²) dt by its power series, exact to about 1e-13 for |x| < 3. */
function erf(x: number): number {
  let [term, sum] = [x, x]
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const softplus = (x: number): number => Math.log(1 + Math.exp(x))
const gelu = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2))
const tanhGelu = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))

const geluOf: Evaluator = (inputs, attributes) =>
  biased(attributes.approximate === 'tanh' ? tanhGelu : gelu)(inputs, attributes)

function shrink(x: number, of: Parameters): number {
  const [lambda, bias] = [of('lambd', 0.5), of('bias', 0)]
  if (x < -lambda) return x + bias
  return x > lambda ? x - bias : 0
}

function selu(x: number, of: Parameters): number {
  const [alpha, gamma] = [of('alpha', 1.6732632423543772), of('gamma', 1.0507009873554805)]
  return gamma * (x > 0 ? x : alpha * (Math.exp(x) - 1))
}

function celu(x: number, of: Parameters): number {
  const alpha = of('alpha', 1)
  return Math.max(0, x) + Math.min(0, alpha * (Math.exp(x / alpha) - 1))
}

/** Evaluators by operator. */
export const activations: Readonly<Record<string, Evaluator>> = {
  Abs: unary(Math.abs),
  Acos: unary(Math.acos),
  Acosh: unary(Math.acosh),
  Asin: unary(Math.asin),
  Asinh: unary(Math.asinh),
  Atan: unary(Math.atan),
  Atanh: unary(Math.atanh),
  Celu: unary(celu),
  Cos: unary(Math.cos),
  Cosh: unary(Math.cosh),
  Erf: unary(erf),
  Gelu: geluOf,
  Mish: unary((x) => x * Math.tanh(softplus(x))),
  Reciprocal: unary((x) => 1 / x),
  Selu: unary(selu),
  Shrink: unary(shrink),
  Sin: unary(Math.sin),
  Sinh: unary(Math.sinh),
  Softplus: unary(softplus),
  Softsign: unary((x) => x / (1 + Math.abs(x))),
  Swish: unary((x, of) => x * sigmoid(of('alpha', 1) * x)),
  Tan: unary(Math.tan),
  ThresholdedRelu: unary((x, of) => (x > of('alpha', 1) ? x : 0)),
  'com.microsoft.BiasGelu': biased(gelu),
  'com.microsoft.FastGelu': biased(tanhGelu),
  'com.microsoft.Gelu': biased(gelu),
  'com.microsoft.QuickGelu': unary((x, of) => x * sigmoid(of('alpha', 1.702) * x)),
}
