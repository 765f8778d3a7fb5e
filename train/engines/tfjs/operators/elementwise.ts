// Operators that work element by element.
import type { Node } from '../../../../onnx/graph.ts'
import { dataTypeOf } from '../../../../onnx/tensor.ts'
import {
  absolute,
  binary,
  broadcastAll,
  type Operators,
  resized,
  settled,
  straightThrough,
  unary,
  unlearned,
} from '../operator.ts'
import type { Tf, TfTensor } from '../tensorflow.ts'
import { typeFor } from '../values.ts'

const comparison = (compute: (tf: Tf, a: TfTensor, b: TfTensor) => TfTensor) =>
  binary((tf, a, b) => unlearned(tf, [a, b], (left, right) => compute(tf, left, right)))

/** A function of whole numbers or steps: nothing is learned through it. */
const flat = (compute: (tf: Tf, x: TfTensor) => TfTensor) =>
  unary((tf, x) => unlearned(tf, [x], (inner) => compute(tf, inner)))

/** The extremes' gradients know nothing of broadcasting. */
const extreme =
  (compute: (tf: Tf, a: TfTensor, b: TfTensor) => TfTensor) =>
  ({ tf, inputs }: { tf: Tf; inputs: readonly (TfTensor | undefined)[] }) =>
    broadcastAll(tf, ...(inputs as TfTensor[])).reduce((a, b) => compute(tf, a, b))

const maximum = (tf: Tf, a: TfTensor, b: TfTensor) => tf.maximum(a, b)
const minimum = (tf: Tf, a: TfTensor, b: TfTensor) => tf.minimum(a, b)
const total = (tf: Tf, inputs: readonly (TfTensor | undefined)[]) =>
  (inputs as TfTensor[]).reduce((a, b) => tf.add(a, b))

/** min(max(x, low), high) with plain numbers. */
const clip = (tf: Tf, x: TfTensor, low: number, high: number) => tf.clipByValue(x, low, high)

const scaled = (tf: Tf, x: TfTensor, factor: number) => (factor === 1 ? x : tf.mul(x, factor))

// x for x > 0, scale · (e^(rate·x) - 1) otherwise; no exponential is taken of what is positive
const exponential = (tf: Tf, x: TfTensor, scale: number, rate = 1) =>
  tf.add(tf.relu(x), scaled(tf, tf.expm1(scaled(tf, tf.neg(tf.relu(tf.neg(x))), rate)), scale))

// Hendrycks and Gimpel 2016
const gelu = (tf: Tf, x: TfTensor) =>
  tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1))
const tanhGelu = (tf: Tf, x: TfTensor) => {
  const cube = tf.mul(tf.mul(x, tf.mul(x, x)), 0.044715)
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(tf.mul(tf.add(x, cube), Math.sqrt(2 / Math.PI))), 1))
}

/** Element by element. */
export const elementwise: Operators = {
  Abs: unary(absolute),
  Acos: unary((tf, x) => tf.acos(x)),
  Acosh: unary((tf, x) => tf.acosh(x)),
  Add: binary((tf, a, b) => tf.add(a, b)),
  And: comparison((tf, a, b) => tf.logicalAnd(a, b)),
  Asin: unary((tf, x) => tf.asin(x)),
  Asinh: unary((tf, x) => tf.asinh(x)),
  Atan: unary((tf, x) => tf.atan(x)),
  Atanh: unary((tf, x) => tf.atanh(x)),
  Cast: ({ tf, x, node, where }) => {
    const to = dataTypeOf(node.number('to', 1))
    const dtype = typeFor(to ?? 'string', `${where}: node '${node.name}'`)
    return dtype === 'float32'
      ? tf.cast(x, dtype)
      : unlearned(tf, [x], (inner) => tf.cast(inner, dtype))
  },
  Ceil: flat((tf, x) => tf.ceil(x)),
  Celu: unary((tf, x, node) => {
    const alpha = node.number('alpha', 1)
    return exponential(tf, x, alpha, 1 / alpha)
  }),
  Clip: (context) => {
    const { tf, x, node } = context
    const constant = [1, 2].every((index) => !node.inputs[index] || node.inputs[index].tensor)
    if (constant && x.dtype === 'float32') {
      const [low = Number.NEGATIVE_INFINITY] = settled(context, 1) ?? []
      const [high = Number.POSITIVE_INFINITY] = settled(context, 2) ?? []
      return clip(tf, x, low, high)
    }
    const [, low, high] = context.inputs
    const above = low ? extreme(maximum)({ tf, inputs: [x, low] }) : x
    return high ? extreme(minimum)({ tf, inputs: [above, high] }) : above
  },
  Cos: unary((tf, x) => tf.cos(x)),
  Cosh: unary((tf, x) => tf.cosh(x)),
  DequantizeLinear: (context) => {
    const { tf, x, node, inputs } = context
    const [scale, zero] = inputs.slice(1).map((input) => input && spread(tf, input, x, node))
    const whole = tf.cast(x, 'float32')
    return tf.mul(zero ? tf.sub(whole, tf.cast(zero, 'float32')) : whole, scale!)
  },
  Div: binary((tf, a, b) =>
    a.dtype === 'int32' ? tf.cast(tf.div(tf.cast(a, 'float32'), b), 'int32') : tf.div(a, b),
  ),
  // At inference Dropout is the identity.
  Dropout: unary((_tf, x) => x),
  Elu: unary((tf, x, node) => exponential(tf, x, node.number('alpha', 1))),
  Equal: comparison((tf, a, b) => tf.equal(a, b)),
  Erf: unary((tf, x) => tf.erf(x)),
  Exp: unary((tf, x) => tf.exp(x)),
  Floor: flat((tf, x) => tf.floor(x)),
  Gelu: unary((tf, x, node) =>
    node.string('approximate', 'none') === 'tanh' ? tanhGelu(tf, x) : gelu(tf, x),
  ),
  Greater: comparison((tf, a, b) => tf.greater(a, b)),
  GreaterOrEqual: comparison((tf, a, b) => tf.greaterEqual(a, b)),
  HardSigmoid: unary((tf, x, node) => {
    const line = tf.add(tf.mul(x, node.number('alpha', 0.2)), node.number('beta', 0.5))
    return clip(tf, line, 0, 1)
  }),
  HardSwish: unary((tf, x) => tf.mul(x, clip(tf, tf.add(tf.mul(x, 1 / 6), 0.5), 0, 1))),
  Identity: unary((_tf, x) => x),
  IsInf: flat((tf, x) => tf.isInf(x)),
  IsNaN: flat((tf, x) => tf.isNaN(x)),
  LeakyRelu: unary((tf, x, node) => tf.leakyRelu(x, node.number('alpha', 0.01))),
  Less: comparison((tf, a, b) => tf.less(a, b)),
  LessOrEqual: comparison((tf, a, b) => tf.lessEqual(a, b)),
  Log: unary((tf, x) => tf.log(x)),
  Max: extreme(maximum),
  Mean: ({ tf, inputs }) => tf.mul(total(tf, inputs), 1 / inputs.length),
  Min: extreme(minimum),
  Mish: unary((tf, x) => tf.mul(x, tf.tanh(tf.softplus(x)))),
  // a - b · ⌊a/b⌋, or with the whole part of a/b where the sign is to be that of a
  Mod: binary((tf, a, b, node) => {
    const truncated = node.number('fmod', 0) === 1
    const count = unlearned(tf, broadcastAll(tf, a, b), (left, right) => {
      const ratio = tf.div(tf.cast(left, 'float32'), right)
      return truncated ? tf.mul(tf.sign(ratio), tf.floor(absolute(tf, ratio))) : tf.floor(ratio)
    })
    return tf.sub(a, tf.mul(b, tf.cast(count, a.dtype)))
  }),
  Mul: binary((tf, a, b) => tf.mul(a, b)),
  Neg: unary((tf, x) => tf.neg(x)),
  Not: flat((tf, x) => tf.logicalNot(x)),
  Or: comparison((tf, a, b) => tf.logicalOr(a, b)),
  PRelu: binary((tf, x, slope) => tf.sub(tf.relu(x), tf.mul(slope, tf.relu(tf.neg(x))))),
  Pow: binary((tf, a, b) => tf.pow(a, tf.cast(b, a.dtype))),
  // Rounded straight through, clipped with a gradient of 0 outside; the whole numbers are held as floats.
  QuantizeLinear: (context) => {
    const { tf, x, node, inputs } = context
    const [scale, zero] = inputs.slice(1).map((input) => input && spread(tf, input, x, node))
    const dtype =
      node.inputs[2]?.type?.dtype ?? dataTypeOf(node.number('output_dtype', 2)) ?? 'uint8'
    const bits = { int8: 8, uint8: 8, int16: 16, uint16: 16 }[dtype as string] ?? 8
    const low = dtype.startsWith('u') ? 0 : -(2 ** (bits - 1))
    const rounded = straightThrough(tf, tf.div(x, scale!), (inner) => tf.round(inner))
    const moved = zero ? tf.add(rounded, tf.cast(zero, 'float32')) : rounded
    return clip(tf, moved, low, low + 2 ** bits - 1)
  },
  Reciprocal: unary((tf, x) => tf.reciprocal(x)),
  Relu: unary((tf, x) => tf.relu(x)),
  Round: flat((tf, x) => tf.round(x)),
  Selu: unary((tf, x, node) => {
    const alpha = node.number('alpha', 1.6732631921768188)
    return tf.mul(exponential(tf, x, alpha), node.number('gamma', 1.0507010221481323))
  }),
  // x + bias below -λ, x - bias above λ, 0 between
  Shrink: unary((tf, x, node) => {
    const limit = node.number('lambd', 0.5)
    const side = unlearned(tf, [x], (inner) =>
      tf.sub(
        tf.cast(tf.greater(inner, limit), 'float32'),
        tf.cast(tf.less(inner, -limit), 'float32'),
      ),
    )
    const moved = tf.sub(x, tf.mul(side, node.number('bias', 0)))
    return tf.mul(moved, tf.mul(side, side))
  }),
  Sigmoid: unary((tf, x) => tf.sigmoid(x)),
  Sign: flat((tf, x) => tf.sign(x)),
  Sin: unary((tf, x) => tf.sin(x)),
  Sinh: unary((tf, x) => tf.sinh(x)),
  Softplus: unary((tf, x) => tf.softplus(x)),
  Softsign: unary((tf, x) => tf.div(x, tf.add(absolute(tf, x), 1))),
  Sqrt: unary((tf, x) => tf.sqrt(x)),
  Sub: binary((tf, a, b) => tf.sub(a, b)),
  Sum: ({ tf, inputs }) => total(tf, inputs),
  Swish: unary((tf, x, node) => tf.mul(x, tf.sigmoid(scaled(tf, x, node.number('alpha', 1))))),
  Tan: unary((tf, x) => tf.tan(x)),
  Tanh: unary((tf, x) => tf.tanh(x)),
  ThresholdedRelu: unary((tf, x, node) => {
    const alpha = node.number('alpha', 1)
    const above = unlearned(tf, [x], (inner) => tf.cast(tf.greater(inner, alpha), 'float32'))
    return tf.mul(x, above)
  }),
  Where: ({ tf, inputs }) => {
    const [condition, a, b] = broadcastAll(tf, ...(inputs as TfTensor[]))
    return tf.where(condition!, a!, b!)
  },
  Xor: comparison((tf, a, b) => tf.logicalXor(a, b)),
  'com.microsoft.FastGelu': ({ tf, x, inputs }) =>
    tanhGelu(tf, inputs[1] ? tf.add(x, inputs[1]) : x),
  'com.microsoft.Gelu': unary(gelu),
  'com.microsoft.QuickGelu': unary((tf, x, node) =>
    tf.mul(x, tf.sigmoid(scaled(tf, x, node.number('alpha', 1.702)))),
  ),
}

/** A scale or zero point in a shape that broadcasts: one a channel along the axis, or one a block of elements. */
function spread(tf: Tf, scale: TfTensor, x: TfTensor, node: Node): TfTensor {
  if (scale.size === 1) return tf.reshape(scale, [])
  const given = node.number('axis', 1)
  const axis = given < 0 ? given + x.rank : given
  const block = node.number('block_size', 0)
  if (block === 0) {
    const shape = x.shape.map((_, index) => (index === axis ? scale.size : 1))
    return tf.reshape(scale, shape)
  }
  const [before, after] = [scale.shape.slice(0, axis), scale.shape.slice(axis + 1)]
  const count = scale.shape[axis]!
  const cells = tf.reshape(scale, [...before, count, 1, ...after])
  const blocks = tf.broadcastTo(cells, [...before, count, block, ...after])
  const whole = tf.reshape(blocks, [...before, count * block, ...after])
  return resized(tf, whole, axis, 0, x.shape[axis]! - count * block)
}
