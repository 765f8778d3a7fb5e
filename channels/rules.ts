// Which channels hang together, operator by operator: the one table that pruning, shrinking and inspection ask.
// A rule ties axes index by index; an axis that no tie of a node mentions must stay whole, so that what a rule leaves
// out can never be cut wrongly. (Dependency groups: Fang et al. 2023, DepGraph.)
import { type Node, operatorOf } from '../onnx/graph.ts'
import { attention } from './attention.ts'
import * as blocks from './blocks.ts'
import { einsum } from './einsum.ts'
import * as layout from './layout.ts'
import * as norms from './normalization.ts'
import * as picking from './picking.ts'
import * as recurrent from './recurrent.ts'
import * as reductions from './reductions.ts'
import * as reshaping from './reshape.ts'
import * as rotary from './rotary.ts'
import { mixing, type Rule, range } from './rule.ts'
import * as sizes from './sizes.ts'
import * as subgraphs from './subgraphs.ts'
import { broadcastAxes, keptAxes, type Role } from './ties.ts'
import * as weighted from './weighted.ts'

/** The steps of quantized values may differ from channel to channel, and belong to what was measured before. */
const quantizing: Rule = { ties: () => 'belongs to a quantized model: prune before quantization' }

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

/** Before opset 13 every axis from the given one on was mixed, and the default was 1. */
const softmax = mixing((node, rank, opset) => {
  const given = node.number('axis', opset < 13 ? 1 : -1)
  const axis = given < 0 ? given + rank : given
  return opset < 13 ? range(axis, rank) : [axis]
})

/** The rule of an operator, found by its domain and name; undefined where there is none. */
export const ruleOf = ({ domain, opType }: Node): Rule | undefined =>
  rules[operatorOf({ domain: domain === 'ai.onnx' ? '' : domain, opType })]

/** The rule of every operator whose channels can be followed; those of other domains with their domain. */
export const rules: Readonly<Record<string, Rule>> = {
  Conv: weighted.convolution,
  ConvTranspose: weighted.transposedConvolution,
  Gemm: weighted.gemm,
  MatMul: weighted.matMul,
  Einsum: einsum,
  LSTM: recurrent.lstm,
  GRU: recurrent.gru,
  RNN: recurrent.rnn,
  'com.microsoft.FusedConv': weighted.convolution,
  'com.microsoft.FusedGemm': weighted.gemm,
  'com.microsoft.FusedMatMul': weighted.matMul,

  Concat: layout.concat,
  Transpose: layout.transpose,
  Squeeze: layout.squeeze,
  Unsqueeze: layout.unsqueeze,
  Flatten: reshaping.flatten,
  Reshape: reshaping.reshape,
  Shape: sizes.tellingSizes,
  Size: sizes.tellingSizes,
  ConstantOfShape: sizes.constantOfShape,
  Expand: sizes.expand,
  Split: picking.split,
  Slice: picking.slice,
  Gather: picking.gather,
  GatherElements: picking.gatherElements,
  Pad: blocks.pad,
  Tile: blocks.tile,
  Resize: blocks.resize,
  Upsample: blocks.resize,
  DepthToSpace: blocks.depthToSpace,
  SpaceToDepth: blocks.spaceToDepth,
  Softmax: softmax,
  LogSoftmax: softmax,
  Hardmax: softmax,

  MaxPool: pooling,
  AveragePool: pooling,
  LpPool: pooling,
  GlobalAveragePool: pooling,
  GlobalMaxPool: pooling,

  BatchNormalization: norms.batchNormalization,
  GroupNormalization: norms.groupNormalization,
  InstanceNormalization: norms.instanceNormalization,
  LayerNormalization: norms.layerNormalization,
  LpNormalization: norms.normalizedInPlace,
  LRN: norms.localResponse,
  MeanVarianceNormalization: norms.normalizedInPlace,
  RMSNormalization: norms.rmsNormalization,
  SimplifiedLayerNormalization: norms.rmsNormalization,
  'com.microsoft.EmbedLayerNormalization': norms.embedLayerNormalization,
  'com.microsoft.SkipLayerNormalization': norms.skipLayerNormalization,
  'com.microsoft.SkipSimplifiedLayerNormalization': norms.skipSimplifiedLayerNormalization,

  If: subgraphs.conditional,
  Loop: subgraphs.repetition,
  Scan: subgraphs.repetition,

  Attention: attention,
  'com.microsoft.Attention': attention,
  'com.microsoft.GroupQueryAttention': attention,
  'com.microsoft.MultiHeadAttention': attention,
  RotaryEmbedding: rotary.rotaryEmbedding,
  'com.microsoft.RotaryEmbedding': rotary.microsoftRotaryEmbedding,

  ReduceMean: reductions.mean,
  ReduceSum: reductions.sum,
  ReduceL1: reductions.sum,
  ReduceL2: reductions.sum,
  ReduceSumSquare: reductions.sum,
  ReduceMax: reductions.reduction,
  ReduceMin: reductions.reduction,
  ReduceProd: reductions.reduction,
  ReduceLogSum: reductions.reduction,
  ReduceLogSumExp: reductions.reduction,
  ArgMax: reductions.position,
  ArgMin: reductions.position,
  TopK: reductions.topK,
  CumSum: blocks.cumulative,

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
  And: broadcasting('other'),
  Or: broadcasting('other'),
  Xor: broadcasting('other'),
  Mod: broadcasting('other'),
  Equal: broadcasting('other'),
  Greater: broadcasting('other'),
  GreaterOrEqual: broadcasting('other'),
  Less: broadcasting('other'),
  LessOrEqual: broadcasting('other'),

  'com.microsoft.BiasGelu': broadcasting('bias'),
  'com.microsoft.FastGelu': broadcasting('bias'),
  'com.microsoft.Gelu': elementwise,
  'com.microsoft.QuickGelu': elementwise,

  QuantizeLinear: quantizing,
  DequantizeLinear: quantizing,
  DynamicQuantizeLinear: quantizing,

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
  Acos: elementwise,
  Acosh: elementwise,
  Asin: elementwise,
  Asinh: elementwise,
  Atan: elementwise,
  Atanh: elementwise,
  Cosh: elementwise,
  Sinh: elementwise,
  Tan: elementwise,
  Not: elementwise,
  IsInf: elementwise,
  IsNaN: elementwise,
  Shrink: elementwise,
  Swish: elementwise,
  Tanh: elementwise,
  ThresholdedRelu: elementwise,
}
