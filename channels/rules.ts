// Which channels hang together, operator by operator: the one table that pruning, shrinking and inspection ask.
// A rule ties axes index by index; an axis that no tie of a node mentions must stay whole, so that what a rule leaves
// out can never be cut wrongly. (Dependency groups: Fang et al. 2023, DepGraph.)
import * as layout from './layout.ts'
import { mixing, namedAxes, type Rule, range } from './rule.ts'
import { axesOf, broadcastAxes, keptAxes, type Role, remainingAxes } from './ties.ts'
import * as weighted from './weighted.ts'

/** Every index of every axis stays where it is. */
const elementwise: Rule = { ties: (node) => ({ ties: keptAxes(node) }) }

/** Elementwise over inputs that broadcast; `role` is what constants among them are. */
const broadcasting = (role: Role): Rule => ({
  ties: (node) => ({
    ties: node.inputs.flatMap((input) => (input ? broadcastAxes(input, node.output(), role) : [])),
  }),
})

/** Batch and channels stay, the spatial axes are pooled. */
const pooling = mixing((_, rank) => range(2, rank))

/** Reduced axes are mixed; where they are dropped, the axes after them move up. */
const reduction: Rule = {
  ties(node) {
    const axes = namedAxes(node, node.input(0))
    if (!axes) return 'computes its axes'
    const all = axes.length === 0 && node.number('noop_with_empty_axes', 0) === 0
    const reduced = new Set(all ? axesOf(node.input(0)) : axes)
    const dropped = node.number('keepdims', 1) === 0
    return { ties: remainingAxes(node.input(0), node.output(), reduced, dropped) }
  },
}

/** Before opset 13 every axis from the given one on was mixed, and the default was 1. */
const softmax = mixing((node, rank) => {
  const axis = node.number('axis', 1)
  return range(axis < 0 ? axis + rank : axis, rank)
})

/** The rule of every operator (of the standard domain) whose channels can be followed. */
export const rules: Readonly<Record<string, Rule>> = {
  Conv: weighted.convolution,
  ConvTranspose: weighted.transposedConvolution,
  Gemm: weighted.gemm,
  MatMul: weighted.matMul,
  BatchNormalization: weighted.batchNormalization,
  Concat: layout.concat,
  Transpose: layout.transpose,
  Squeeze: layout.squeeze,
  Unsqueeze: layout.unsqueeze,
  Flatten: layout.flatten,
  Reshape: layout.reshape,
  Pad: layout.pad,
  Slice: layout.slice,
  Softmax: softmax,
  LogSoftmax: softmax,

  MaxPool: pooling,
  AveragePool: pooling,
  LpPool: pooling,
  GlobalAveragePool: pooling,
  GlobalMaxPool: pooling,
  InstanceNormalization: weighted.instanceNormalization,

  ReduceMean: reduction,
  ReduceSum: reduction,
  ReduceMax: reduction,
  ReduceMin: reduction,
  ReduceL1: reduction,
  ReduceL2: reduction,
  ReduceProd: reduction,
  ReduceSumSquare: reduction,

  Add: broadcasting('bias'),
  Sub: broadcasting('bias'),
  Sum: broadcasting('bias'),
  Mul: broadcasting('scale'),
  Div: broadcasting('scale'),
  Pow: broadcasting('other'),
  Max: broadcasting('other'),
  Min: broadcasting('other'),
  Mean: broadcasting('other'),
  PRelu: broadcasting('other'),
  Where: broadcasting('other'),
  Equal: broadcasting('other'),
  Greater: broadcasting('other'),
  GreaterOrEqual: broadcasting('other'),
  Less: broadcasting('other'),
  LessOrEqual: broadcasting('other'),

  Abs: elementwise,
  Cast: elementwise,
  Ceil: elementwise,
  Celu: elementwise,
  Clip: elementwise,
  Cos: elementwise,
  Dropout: elementwise,
  Elu: elementwise,
  Erf: elementwise,
  Exp: elementwise,
  Floor: elementwise,
  Gelu: elementwise,
  HardSigmoid: elementwise,
  HardSwish: elementwise,
  Identity: elementwise,
  LeakyRelu: elementwise,
  Log: elementwise,
  Mish: elementwise,
  Neg: elementwise,
  Reciprocal: elementwise,
  Relu: elementwise,
  Round: elementwise,
  Selu: elementwise,
  Sigmoid: elementwise,
  Sign: elementwise,
  Sin: elementwise,
  Softplus: elementwise,
  Softsign: elementwise,
  Sqrt: elementwise,
  Tanh: elementwise,
  ThresholdedRelu: elementwise,
}
