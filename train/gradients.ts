// The gradient rules: one row an operator of the standard domain, each a formula in operators that have rules.
// dL/dy is `dy`; a step function is HardSigmoid with a slope of 1e30, which ONNX Runtime computes faster than a comparison.

import type { Builder } from '../onnx/build.ts'
import type { Node, Value } from '../onnx/graph.ts'
import { dataTypes, sizeOf } from '../onnx/tensor.ts'
import { axisOf, binary, fill, type Rule, shapeOf, sign, step, unary, variadic } from './rule.ts'
import {
  cumSum,
  depthToSpace,
  expand,
  reverseSequence,
  spaceToDepth,
  split,
  tile,
  trilu,
  where,
} from './rules/arrangement.ts'
import { einsum } from './rules/einsum.ts'
import { extremum } from './rules/elementwise.ts'
import {
  gather,
  gatherElements,
  gatherND,
  maxUnpool,
  scatterElements,
  scatterND,
  topK,
} from './rules/indexing.ts'
import { concat, pad, reduce, reshaped, slice, transpose } from './rules/movement.ts'
import { batchNormalization, layerNormalization } from './rules/normalization.ts'
import { gemm, matMul } from './rules/product.ts'
import { dequantizeLinear, quantizeLinear } from './rules/quantization.ts'
import { product, reducedExtremum, reduction } from './rules/reductions.ts'
import { resize } from './rules/resize.ts'
import { averagePool, convolution, maxPool, transposedConvolution } from './rules/window.ts'

/** Gradient rules by operator; one without a row here, in `passive` or among the decompositions cannot be trained through. */
export const gradients: Readonly<Record<string, Rule>> = {
  Abs: unary(({ g, x, dy }) => g.Mul(dy, sign(g, x))),
  Acos: unary(({ g, x, dy }) => g.Neg(g.Div(dy, g.Sqrt(g.Sub(1, g.Mul(x, x)))))),
  Acosh: unary(({ g, x, dy }) => g.Div(dy, g.Sqrt(g.Mul(g.Sub(x, 1), g.Add(x, 1))))),
  Add: binary(({ dy }) => [dy, dy]),
  Asin: unary(({ g, x, dy }) => g.Div(dy, g.Sqrt(g.Sub(1, g.Mul(x, x))))),
  Asinh: unary(({ g, x, dy }) => g.Div(dy, g.Sqrt(g.Add(g.Mul(x, x), 1)))),
  Atan: unary(({ g, x, dy }) => g.Div(dy, g.Add(g.Mul(x, x), 1))),
  Atanh: unary(({ g, x, dy }) => g.Div(dy, g.Sub(1, g.Mul(x, x)))),
  AveragePool: averagePool,
  BatchNormalization: batchNormalization,
  // The gradient of a level of a quantization, an integer, is a float.
  Cast: unary(({ g, x, dy }) =>
    typeOf(x).includes('float') ? g.Cast(dy, { to: dataTypes[typeOf(x)].code }) : dy,
  ),
  // y = x for x > 0, α(e^(x/α) - 1) otherwise, where dy/dx = y/α + 1.
  Celu: unary(({ g, node, x, y, dy }) => {
    const positive = step(g, x)
    const slope = g.Add(g.Mul(y, 1 / node.number('alpha', 1)), 1)
    return g.Mul(dy, g.Add(positive, g.Mul(g.Sub(1, positive), slope)))
  }),
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
  ConvTranspose: transposedConvolution,
  Cos: unary(({ g, x, dy }) => g.Neg(g.Mul(dy, g.Sin(x)))),
  Cosh: unary(({ g, x, dy }) => g.Mul(dy, g.Sinh(x))),
  CumSum: cumSum,
  DepthToSpace: depthToSpace,
  DequantizeLinear: dequantizeLinear,
  Div: binary(({ g, b, y, dy }) => {
    const da = g.Div(dy, b)
    return [da, g.Neg(g.Mul(da, y))]
  }),
  // At inference Dropout is the identity; for training it becomes a Mul with a fed mask (train/training-form.ts).
  Dropout: unary(({ dy }) => dy),
  Einsum: einsum,
  // y = x for x > 0, α(eˣ - 1) otherwise, where dy/dx = y + α.
  Elu: unary(({ g, node, x, y, dy }) => {
    const positive = step(g, x)
    const negative = g.Mul(g.Sub(1, positive), g.Add(y, node.number('alpha', 1)))
    return g.Mul(dy, g.Add(positive, negative))
  }),
  // erf′(x) = 2/√π · e^(-x²)
  Erf: unary(({ g, x, dy }) => g.Mul(dy, g.Mul(g.Exp(g.Neg(g.Mul(x, x))), 2 / Math.sqrt(Math.PI)))),
  Exp: unary(({ g, y, dy }) => g.Mul(dy, y)),
  Expand: expand,
  Flatten: reshaped,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  // y = x·Φ(x), with Φ the normal distribution (Hendrycks and Gimpel 2016); with t = x/√2, dy/dx = Φ + t/√π·e^(-t²).
  Gelu: unary(({ g, x, dy }) => {
    const t = g.Mul(x, Math.SQRT1_2)
    const share = g.HardSigmoid(g.Erf(t), { alpha: 0.5, beta: 0.5 })
    // The factor 1/√π is in the exponent.
    const slope = g.Mul(t, g.Exp(g.Sub(-Math.log(Math.PI) / 2, g.Mul(t, t))))
    return g.Mul(dy, g.Add(share, slope))
  }),
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
  LayerNormalization: layerNormalization,
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
  Max: extremum(({ g, x, y }) => g.Sub(y, x)),
  MaxPool: maxPool,
  MaxUnpool: maxUnpool,
  Mean: variadic(({ g, all, dy }) => {
    const share = g.Mul(dy, 1 / all.length)
    return all.map(() => share)
  }),
  Min: extremum(({ g, x, y }) => g.Sub(x, y)),
  // y = a - b·trunc(a/b)
  Mod: binary(({ g, a, b, y, dy }) => [dy, g.Neg(g.Mul(dy, g.Div(g.Sub(a, y), b)))]),
  Mul: binary(({ g, a, b, dy }) => [g.Mul(dy, b), g.Mul(dy, a)]),
  Neg: unary(({ g, dy }) => g.Neg(dy)),
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
  // y = x for x > 0, slope·x otherwise.
  PRelu: binary(({ g, a: x, b: slope, dy }) => {
    const positive = step(g, x)
    const negative = g.Sub(1, positive)
    return [g.Mul(dy, g.Add(positive, g.Mul(negative, slope))), g.Mul(dy, g.Mul(x, negative))]
  }),
  QuantizeLinear: quantizeLinear,
  Reciprocal: unary(({ g, y, dy }) => g.Neg(g.Mul(dy, g.Mul(y, y)))),
  ReduceL1: reduction(({ g, x, dy }) => g.Mul(dy, sign(g, x))),
  // dx = dy·x/y, and 0 where all x are.
  ReduceL2: reduction(({ g, x, y, dy }) => g.Mul(g.Div(dy, g.Clip(y, 1e-30)), x)),
  ReduceLogSumExp: reduction(({ g, x, y, dy }) => g.Mul(dy, g.Exp(g.Sub(x, y)))),
  ReduceMax: reducedExtremum(({ g, x, y }) => g.Sub(y, x)),
  ReduceMean: reduce((count) => 1 / count),
  ReduceMin: reducedExtremum(({ g, x, y }) => g.Sub(x, y)),
  ReduceProd: product,
  ReduceSum: reduce(() => 1),
  ReduceSumSquare: reduction(({ g, x, dy }) => g.Mul(g.Mul(dy, 2), x)),
  Relu: unary(({ g, y, dy }) => g.Mul(dy, step(g, y))),
  Reshape: reshaped,
  // y = γx for x > 0, γα(eˣ - 1) otherwise, where dy/dx = y + γα.
  Selu: unary(({ g, node, x, y, dy }) => {
    const [alpha, gamma] = [
      node.number('alpha', Math.fround(1.6732632423543772)),
      node.number('gamma', Math.fround(1.0507009873554805)),
    ]
    const positive = step(g, x)
    const negative = g.Mul(g.Sub(1, positive), g.Add(y, gamma * alpha))
    return g.Mul(dy, g.Add(g.Mul(positive, gamma), negative))
  }),
  Resize: resize,
  ReverseSequence: reverseSequence,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  Shrink: unary(({ g, node, x, dy }) => {
    const lambda = node.number('lambd', 0.5)
    return g.Mul(dy, g.Add(step(g, g.Sub(x, lambda)), step(g, g.Sub(-lambda, x))))
  }),
  Sigmoid: unary(({ g, y, dy }) => g.Mul(dy, g.Mul(y, g.Sub(1, y)))),
  Sin: unary(({ g, x, dy }) => g.Mul(dy, g.Cos(x))),
  Sinh: unary(({ g, x, dy }) => g.Mul(dy, g.Cosh(x))),
  Slice: slice,
  // dx = y (dy - Σ dy·y)
  Softmax: unary(({ g, node, y, dy }) => {
    const total = g.ReduceSum(g.Mul(dy, y), [softmaxAxis(node, y)], { keepdims: 1 })
    return g.Mul(y, g.Sub(dy, total))
  }),
  Softplus: unary(({ g, x, dy }) => g.Mul(dy, g.Sigmoid(x))),
  // y = x/(1 + |x|), dy/dx = 1/(1 + |x|)²
  Softsign: unary(({ g, x, dy }) => {
    const scale = g.Add(g.Abs(x), 1)
    return g.Div(dy, g.Mul(scale, scale))
  }),
  SpaceToDepth: spaceToDepth,
  Split: split,
  Sqrt: unary(({ g, y, dy }) => g.Div(dy, g.Mul(y, 2))),
  Squeeze: reshaped,
  Sub: binary(({ g, dy }) => [dy, g.Neg(dy)]),
  Sum: variadic(({ all, dy }) => all.map(() => dy)),
  Tan: unary(({ g, y, dy }) => g.Mul(dy, g.Add(g.Mul(y, y), 1))),
  Tanh: unary(({ g, y, dy }) => g.Mul(dy, g.Sub(1, g.Mul(y, y)))),
  ThresholdedRelu: unary(({ g, node, x, dy }) =>
    g.Mul(dy, step(g, g.Sub(x, node.number('alpha', 1)))),
  ),
  Tile: tile,
  TopK: topK,
  Transpose: transpose,
  Trilu: trilu,
  Unsqueeze: reshaped,
  Where: where,
}

const integers = 'integers'
const truths = 'truth values'
const steps = 'piecewise constant'
const shape = 'made from shapes or settings alone'
const chance = 'random numbers'

/** Operators through which nothing is learned, with what they make instead. */
export const passive: Readonly<Record<string, string>> = {
  And: truths,
  ArgMax: integers,
  ArgMin: integers,
  Bernoulli: chance,
  BitShift: integers,
  BitwiseAnd: integers,
  BitwiseNot: integers,
  BitwiseOr: integers,
  BitwiseXor: integers,
  BlackmanWindow: shape,
  Ceil: steps,
  Constant: 'a constant',
  ConstantOfShape: shape,
  Equal: truths,
  EyeLike: shape,
  Floor: steps,
  Greater: truths,
  GreaterOrEqual: truths,
  HammingWindow: shape,
  HannWindow: shape,
  Hardmax: steps,
  ImageDecoder: integers,
  IsInf: truths,
  IsNaN: truths,
  Less: truths,
  LessOrEqual: truths,
  MelWeightMatrix: shape,
  Multinomial: integers,
  NonMaxSuppression: 'indices of boxes',
  NonZero: integers,
  Not: truths,
  OneHot: steps,
  OptionalHasElement: truths,
  Or: truths,
  RandomNormal: chance,
  RandomNormalLike: chance,
  RandomUniform: chance,
  RandomUniformLike: chance,
  Range: shape,
  RegexFullMatch: truths,
  Round: steps,
  SequenceLength: integers,
  Shape: integers,
  Sign: steps,
  Size: integers,
  TfIdfVectorizer: 'counts of words',
  Xor: truths,
}

/** 1 where 0 < y < 1, else 0. */
const inside = (g: Builder, y: Value): Value => g.Mul(step(g, y), step(g, g.Sub(1, y)))

const softmaxAxis = (node: Node, y: Value): number =>
  axisOf(node.number('axis', -1), shapeOf(y).length)

function typeOf(value: Value) {
  if (!value.type) throw new Error(`internal: the type of '${value.name}' is not known`)
  return value.type.dtype
}
