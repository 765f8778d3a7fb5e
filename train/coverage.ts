// What becomes of each operator when a gradient is asked for: the text of docs/ops.md, made from the tables themselves.
import { decompositions } from './decompositions.ts'
import { gradients, passive } from './gradients.ts'
import { refused } from './refused.ts'

/** Operators of old opsets that are exchanged for others when the opset is raised. */
export const raised: Readonly<Record<string, string>> = {
  Scatter: 'ScatterElements',
  Upsample: 'Resize',
}

/** How each operator with a decomposition is written out. */
export const written: Readonly<Record<string, string>> = {
  AffineGrid: 'a product with a constant grid',
  Attention: 'MatMul, Softmax, MatMul; masks and causality are added to the scores',
  CastLike: 'Cast',
  CenterCropPad: 'Slice and Pad',
  Col2Im: 'ConvTranspose with a constant kernel',
  Compress: 'Gather with a constant condition',
  GRU: 'its equations, step by step over the fixed length of the sequence',
  Gelu: 'a formula with Tanh, where it is approximate',
  GlobalLpPool: 'a sum of powers over the spatial axes',
  GlobalMaxPool: 'MaxPool with one window',
  GridSample: 'gathered neighbours, weighted by their distances',
  GroupNormalization: 'LayerNormalization of each group, then scale and bias',
  InstanceNormalization: 'LayerNormalization of each channel, then scale and bias',
  LRN: 'AveragePool of the squares over neighbouring channels, Pow, Div',
  LSTM: 'its equations, step by step over the fixed length of the sequence',
  LpNormalization: 'ReduceL1 or ReduceL2, Div',
  LpPool: 'Conv of the powers with ones',
  MeanVarianceNormalization: 'ReduceMean, Sqrt, Div',
  Mish: 'x·Tanh(Softplus(x))',
  NegativeLogLikelihoodLoss: 'the elements of the labels, weighted and reduced',
  RMSNormalization: 'x / Sqrt(ReduceMean(x²) + ε) · scale',
  RNN: 'its equations, step by step over the fixed length of the sequence',
  ReduceLogSum: 'Log(ReduceSum(x))',
  RotaryEmbedding: 'Mul and Add of the halves (or the pairs) with cosines and sines',
  ScatterND: 'ScatterElements of flat positions, where it adds up',
  SimplifiedLayerNormalization: 'as RMSNormalization',
  SoftmaxCrossEntropyLoss: 'LogSoftmax, then the elements of the labels, weighted and reduced',
  Swish: 'x·Sigmoid(αx)',
  'com.microsoft.Attention': 'one MatMul for query, key and value, then as Attention',
  'com.microsoft.BiasGelu': 'Gelu of a sum',
  'com.microsoft.FastGelu': 'Gelu by Tanh, of a sum if there is a bias',
  'com.microsoft.FusedGemm': 'Gemm, then Relu, LeakyRelu, Sigmoid or Tanh',
  'com.microsoft.FusedMatMul': 'Transpose, MatMul, Mul',
  'com.microsoft.Gelu': 'as Gelu',
  'com.microsoft.MultiHeadAttention': 'as Attention',
  'com.microsoft.QuickGelu': 'x·Sigmoid(1.702x)',
  'com.microsoft.RotaryEmbedding': 'as RotaryEmbedding',
  'com.microsoft.SkipLayerNormalization': 'LayerNormalization of a sum',
  'com.microsoft.SkipSimplifiedLayerNormalization': 'RMSNormalization of a sum',
}

/** Every operator that some table knows, with what becomes of it; one in tables that exclude each other comes twice. */
export function coverage(): readonly (readonly [operator: string, gradient: string])[] {
  const rows = [
    ...Object.keys(gradients)
      .filter((name) => !(name in decompositions))
      .map((name) => [name, 'rule'] as const),
    ...Object.keys(decompositions).map((name) => {
      const either = name in gradients ? 'rule, or ' : ''
      return [name, `${either}written out as ${written[name]}`] as const
    }),
    ...Object.entries(raised).map(([name, newer]) => [name, `raised to ${newer}`] as const),
    ...Object.entries(passive).map(([name, reason]) => [name, `none: ${reason}`] as const),
    ...Object.entries(refused).map(([name, reason]) => [name, `refused: ${reason}`] as const),
  ]
  // Code units, so that no locale changes the file.
  return rows.sort(([a], [b]) => (a < b ? -1 : 1))
}

/** The text of docs/ops.md. */
export function coverageText(): string {
  const rows = coverage().map(([name, gradient]) => `| ${name} | ${gradient} |`)
  return `# Operators and their gradients

Written by \`npm run ops\` from the tables in \`train/\`; operators of ONNX's opsets 7 to 25, and of com.microsoft where named so.

- **rule**: the gradient is a formula.
- **written out**: the node is replaced by its definition in operators that have rules before anything is differentiated.
- **none**: no gradient passes; what is before such a node learns nothing through it, and training goes on.
- **refused**: training stops with the reason, unless the layers before the node are frozen.

Gradients are made of operators of this table and can be differentiated again. Second derivatives are those of the formula
between its kinks: 0 for what is piecewise linear, none through the rounding of QuantizeLinear, and not to be relied on for ReduceProd where a factor is 0.
Where elements are equally large (or small), MaxPool gives the gradient to the first, ReduceMax, ReduceMin, Max and Min give each an equal share.

| operator | gradient |
|---|---|
${rows.join('\n')}
`
}
