// Reference evaluators of elementwise operators, softmax and normalization.
import {
  axisOf,
  broadcastAt,
  broadcastDims,
  type Evaluator,
  fill,
  type NdArray,
  nd,
  numberOf,
  positions,
  required,
} from './nd.ts'

type Parameters = (name: string, fallback: number) => number

/** An operator that works on each element alone; `of` reads attributes. */
const unary =
  (f: (x: number, of: Parameters) => number): Evaluator =>
  ([x], attributes) => {
    const { dims, data } = required(x)
    return nd(
      dims,
      data.map((value) => f(value, (name, fallback) => numberOf(attributes, name, fallback))),
    )
  }

const binary =
  (f: (a: number, b: number) => number): Evaluator =>
  ([first, second]) => {
    const [a, b] = [required(first), required(second)]
    return fill(broadcastDims(a.dims, b.dims), (position) =>
      f(broadcastAt(a, position), broadcastAt(b, position)),
    )
  }

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high)

const clip: Evaluator = ([x, low, high]) => {
  const { dims, data } = required(x)
  return nd(
    dims,
    data.map((value) => clamp(value, low?.data[0] ?? -Infinity, high?.data[0] ?? Infinity)),
  )
}

/** Softmax along an axis, or its logarithm. */
const softmax =
  (finish: (logarithm: number) => number): Evaluator =>
  ([input], attributes) => {
    const x = required(input)
    const axis = axisOf(numberOf(attributes, 'axis', -1), x.dims.length)
    const sums = new Map<string, number>()
    const keyOf = (position: readonly number[]) => position.with(axis, 0).join()
    for (const [index, position] of positions(x.dims).entries())
      sums.set(keyOf(position), (sums.get(keyOf(position)) ?? 0) + Math.exp(x.data[index]!))
    return fill(x.dims, (position) =>
      finish(broadcastAt(x, position) - Math.log(sums.get(keyOf(position))!)),
    )
  }

const batchNormalization: Evaluator = ([input, scale, bias, mean, variance], attributes) => {
  const x = required(input)
  const [given, spread] = numberOf(attributes, 'training_mode', 0)
    ? statistics(x)
    : [required(mean).data, required(variance).data]
  const epsilon = numberOf(attributes, 'epsilon', 1e-5)
  return fill(x.dims, (position) => {
    const channel = position[1]!
    const normal =
      (broadcastAt(x, position) - given[channel]!) / Math.sqrt(spread[channel]! + epsilon)
    return normal * required(scale).data[channel]! + required(bias).data[channel]!
  })
}

/** Mean and population variance of each channel. */
function statistics(x: NdArray): readonly [Float64Array, Float64Array] {
  const channels = x.dims[1]!
  const count = x.data.length / channels
  const [mean, variance] = [new Float64Array(channels), new Float64Array(channels)]
  const places = positions(x.dims)
  for (const [index, place] of places.entries()) mean[place[1]!]! += x.data[index]! / count
  for (const [index, place] of places.entries())
    variance[place[1]!]! += (x.data[index]! - mean[place[1]!]!) ** 2 / count
  return [mean, variance]
}

/** Evaluators by operator. */
export const elementwise: Readonly<Record<string, Evaluator>> = {
  Add: binary((a, b) => a + b),
  BatchNormalization: batchNormalization,
  Cast: unary((x) => x),
  Clip: clip,
  Div: binary((a, b) => a / b),
  Dropout: unary((x) => x),
  Elu: unary((x, of) => (x > 0 ? x : of('alpha', 1) * (Math.exp(x) - 1))),
  Exp: unary(Math.exp),
  HardSigmoid: unary((x, of) => clamp(of('alpha', 0.2) * x + of('beta', 0.5), 0, 1)),
  HardSwish: unary((x) => x * clamp(x / 6 + 0.5, 0, 1)),
  Identity: unary((x) => x),
  LeakyRelu: unary((x, of) => (x > 0 ? x : of('alpha', 0.01) * x)),
  Log: unary(Math.log),
  LogSoftmax: softmax((logarithm) => logarithm),
  Mul: binary((a, b) => a * b),
  Neg: unary((x) => -x),
  PRelu: binary((x, slope) => (x > 0 ? x : slope * x)),
  Pow: binary((a, b) => a ** b),
  Relu: unary((x) => Math.max(x, 0)),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Softmax: softmax(Math.exp),
  Sqrt: unary(Math.sqrt),
  Sub: binary((a, b) => a - b),
  Tanh: unary(Math.tanh),
}
