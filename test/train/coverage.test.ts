import { readFileSync } from 'node:fs'
import { expect, it } from '@jest/globals'
import { coverage, coverageText, written } from '../../train/coverage.ts'
import { decompositions } from '../../train/decompositions.ts'

/** Every operator that ONNX's own domain had in some opset from 7 to 25, without those that were experimental. */
const onnx = `
  Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
  Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad
  Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh
  CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp
  Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool
  GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish
  Hardmax Identity If ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less
  LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean
  MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss
  NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv
  QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike
  Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
  ReduceSumSquare RegexFullMatch Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan Scatter
  ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
  SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus
  Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Swish Tan
  Tanh TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor`
  .trim()
  .split(/\s+/)

const operators = coverage().map(([operator]) => operator)

it('classifies every operator of ONNX, and each once', () => {
  expect(onnx.filter((operator) => !operators.includes(operator))).toEqual([])
  expect(operators.filter((operator, index) => operators.indexOf(operator) !== index)).toEqual([])
})

it("knows no others but ONNX Runtime's", () => {
  const others = operators.filter((operator) => !onnx.includes(operator))
  expect(others.filter((operator) => !operator.startsWith('com.microsoft.'))).toEqual([
    'SimplifiedLayerNormalization',
  ])
})

it('says of every decomposition how it is written out', () => {
  expect(Object.keys(written).sort()).toEqual(Object.keys(decompositions).sort())
})

it('keeps docs/ops.md current', () => {
  expect(readFileSync('docs/ops.md', 'utf8')).toBe(coverageText())
})
