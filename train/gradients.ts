// The gradient rules: one row an operator of the standard domain, each a formula in operators that have rules.
// dL/dy is `dy`; a step function is Clip(x · 1e30, 0, 1), which ONNX Runtime computes faster than a comparison.

import type { Builder } from '../onnx/build.ts'
import type { Node, Value } from '../onnx/graph.ts'
import { dataTypes, sizeOf } from '../onnx/tensor.ts'
import { axisOf, binary, fill, type Rule, shapeOf, step, unary } from './rule.ts'
import { concat, pad, reduce, reshaped, slice, transpose } from './rules/movement.ts'
import { batchNormalization } from './rules/normalization.ts'
import { gemm, matMul } from './rules/product.ts'
import { averagePool, convolution, maxPool } from './rules/window.ts'

/** Gradient rules by operator; an operator without a row (and not in `passive`) cannot be trained through. */
export const gradients: Readonly<Record<string, Rule>> = {
  Add: binary(({ dy }) => [dy, dy]),
  AveragePool: averagePool,
  BatchNormalization: batchNormalization,
  // Only casts between floats carry a gradient; backward.ts does not ask for others.
  Cast: unary(({ g, x, dy }) => g.Cast(dy, { to: dataTypes[typeOf(x)].code })),
  // y = min(max(x, low), high): the gradient passes strictly inside.
  Clip: {
    gradients: ({ g, node, x, dy }) => {
      const [, low, high] = node.inputs
      const above = low ? g.Mul(dy, step(g, g.Sub(x, low))) : dy
      return [high ? g.Mul(above, step(g, g.Sub(high, x))) : above]
    },
  },
  Concat: concat,
  Conv: convolution,
  Div: binary(({ g, b, y, dy }) => {
    const da = g.Div(dy, b)
    return [da, g.Neg(g.Mul(da, y))]
  }),
  // At inference Dropout is the identity; for training it becomes a Mul with a fed mask (train/training-form.ts).
  Dropout: unary(({ dy }) => dy),
  // y = x for x > 0, α(eˣ - 1) otherwise, where dy/dx = y + α.
  Elu: unary(({ g, node, x, y, dy }) => {
    const positive = step(g, x)
    const negative = g.Mul(g.Sub(1, positive), g.Add(y, node.number('alpha', 1)))
    return g.Mul(dy, g.Add(positive, negative))
  }),
  Exp: unary(({ g, y, dy }) => g.Mul(dy, y)),
  Flatten: reshaped,
  Gemm: gemm,
  GlobalAveragePool: unary(({ g, x, dy }) => {
    const shape = shapeOf(x)
    return fill(g, g.Mul(dy, 1 / sizeOf(shape.slice(2))), shape)
  }),
  // y = clip(αx + β, 0, 1).
  HardSigmoid: unary(({ g, node, y, dy }) =>
    g.Mul(g.Mul(dy, node.number('alpha', Math.fround(0.2))), inside(g, y)),
  ),
  // y = x·h with h = clip(x/6 + ½, 0, 1); dy/dx = h + x·h′.
  HardSwish: unary(({ g, x, dy }) => {
    const h = g.Clip(g.Add(g.Mul(x, 1 / 6), 0.5), 0, 1)
    return g.Mul(dy, g.Add(h, g.Mul(g.Mul(x, 1 / 6), inside(g, h))))
  }),
  Identity: unary(({ dy }) => dy),
  LeakyRelu: unary(({ g, node, x, dy }) => {
    const alpha = node.number('alpha', Math.fround(0.01))
    return g.Mul(dy, g.Add(g.Mul(step(g, x), 1 - alpha), alpha))
  }),
  Log: unary(({ g, x, dy }) => g.Div(dy, x)),
  // dx = dy - softmax(x) Σdy
  LogSoftmax: unary(({ g, node, y, dy }) => {
    const total = g.ReduceSum(dy, [softmaxAxis(node, y)], { keepdims: 1 })
    return g.Sub(dy, g.Mul(g.Exp(y), total))
  }),
  MatMul: matMul,
  MaxPool: maxPool,
  Mul: binary(({ g, a, b, dy }) => [g.Mul(dy, b), g.Mul(dy, a)]),
  Neg: unary(({ g, dy }) => g.Neg(dy)),
  // y = x for x > 0, slope·x otherwise.
  PRelu: binary(({ g, a: x, b: slope, dy }) => {
    const positive = step(g, x)
    const negative = g.Sub(1, positive)
    return [g.Mul(dy, g.Add(positive, g.Mul(negative, slope))), g.Mul(dy, g.Mul(x, negative))]
  }),
  Pad: pad,
  // d(aᵇ)/da = b·aᵇ⁻¹, d(aᵇ)/db = aᵇ·ln a
  Pow: binary(({ g, a, b: exponent, y, dy }) => {
    // Pow alone takes an exponent of another type.
    const same = typeOf(exponent) === typeOf(a)
    const b = same ? exponent : g.Cast(exponent, { to: dataTypes[typeOf(a)].code })
    return [
      g.Mul(dy, g.Mul(b, g.Pow(a, g.Sub(b, 1)))),
      same ? g.Mul(dy, g.Mul(y, g.Log(a))) : undefined,
    ]
  }),
  ReduceMean: reduce((count) => 1 / count),
  ReduceSum: reduce(() => 1),
  Relu: unary(({ g, y, dy }) => g.Mul(dy, step(g, y))),
  Reshape: reshaped,
  Sigmoid: unary(({ g, y, dy }) => g.Mul(dy, g.Mul(y, g.Sub(1, y)))),
  Slice: slice,
  // dx = y (dy - Σ dy·y)
  Softmax: unary(({ g, node, y, dy }) => {
    const total = g.ReduceSum(g.Mul(dy, y), [softmaxAxis(node, y)], { keepdims: 1 })
    return g.Mul(y, g.Sub(dy, total))
  }),
  Sqrt: unary(({ g, y, dy }) => g.Div(dy, g.Mul(y, 2))),
  Squeeze: reshaped,
  Sub: binary(({ g, dy }) => [dy, g.Neg(dy)]),
  Tanh: unary(({ g, y, dy }) => g.Mul(dy, g.Sub(1, g.Mul(y, y)))),
  Transpose: transpose,
  Unsqueeze: reshaped,
}

/** Operators through which nothing is learned: their outputs are integers, truth values, shapes or constants. */
export const passive: ReadonlySet<string> = new Set([
  'And',
  'ArgMax',
  'ArgMin',
  'Ceil',
  'Constant',
  'ConstantOfShape',
  'Equal',
  'Floor',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Not',
  'OneHot',
  'Or',
  'Range',
  'Round',
  'Shape',
  'Sign',
  'Size',
])

/** 1 where 0 < y < 1, else 0. */
const inside = (g: Builder, y: Value): Value => g.Mul(step(g, y), step(g, g.Sub(1, y)))

const softmaxAxis = (node: Node, y: Value): number =>
  axisOf(node.number('axis', -1), shapeOf(y).length)

function typeOf(value: Value) {
  if (!value.type) throw new Error(`internal: the type of '${value.name}' is not known`)
  return value.type.dtype
}
