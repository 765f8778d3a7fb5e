// The decompositions: one row an operator (with its domain, where that is not ONNX's own) that is its formula, in
// operators that have gradient rules.
import type { Decomposition } from './decompose.ts'
import { biasGelu, fastGelu, gelu, mish, swish } from './decompositions/activations.ts'
import { attention, multiHeadAttention, packedAttention } from './decompositions/attention.ts'
import { gru } from './decompositions/gru.ts'
import { negativeLogLikelihoodLoss, softmaxCrossEntropyLoss } from './decompositions/losses.ts'
import { lstm } from './decompositions/lstm.ts'
import {
  groupNormalization,
  instanceNormalization,
  localResponseNormalization,
  lpNormalization,
  meanVarianceNormalization,
  rmsNormalization,
  skipLayerNormalization,
  skipRmsNormalization,
} from './decompositions/normalization.ts'
import { globalLpPool, globalMaxPool, lpPool } from './decompositions/pooling.ts'
import { fusedGemm, fusedMatMul } from './decompositions/products.ts'
import {
  castLike,
  centerCropPad,
  col2Im,
  compress,
  scatterND,
} from './decompositions/rearrangement.ts'
import { reduceLogSum } from './decompositions/reductions.ts'
import { rnn } from './decompositions/rnn.ts'
import { microsoftRotaryEmbedding, rotaryEmbedding } from './decompositions/rotary.ts'
import { affineGrid, gridSample } from './decompositions/sampling.ts'

/** Decompositions by operator. */
export const decompositions: Readonly<Record<string, Decomposition>> = {
  AffineGrid: affineGrid,
  Attention: attention,
  CastLike: castLike,
  CenterCropPad: centerCropPad,
  Col2Im: col2Im,
  Compress: compress,
  Gelu: gelu,
  GlobalLpPool: globalLpPool,
  GlobalMaxPool: globalMaxPool,
  GridSample: gridSample,
  GroupNormalization: groupNormalization,
  GRU: gru,
  InstanceNormalization: instanceNormalization,
  LpNormalization: lpNormalization,
  LpPool: lpPool,
  LRN: localResponseNormalization,
  LSTM: lstm,
  MeanVarianceNormalization: meanVarianceNormalization,
  Mish: mish,
  NegativeLogLikelihoodLoss: negativeLogLikelihoodLoss,
  ReduceLogSum: reduceLogSum,
  RMSNormalization: rmsNormalization,
  RNN: rnn,
  RotaryEmbedding: rotaryEmbedding,
  ScatterND: scatterND,
  // ONNX Runtime's own name for RMSNormalization, in ONNX's domain.
  SimplifiedLayerNormalization: rmsNormalization,
  SoftmaxCrossEntropyLoss: softmaxCrossEntropyLoss,
  Swish: swish(1),
  'com.microsoft.Attention': packedAttention,
  'com.microsoft.BiasGelu': biasGelu,
  'com.microsoft.FastGelu': fastGelu,
  'com.microsoft.FusedGemm': fusedGemm,
  'com.microsoft.FusedMatMul': fusedMatMul,
  'com.microsoft.Gelu': biasGelu,
  'com.microsoft.MultiHeadAttention': multiHeadAttention,
  'com.microsoft.QuickGelu': swish(Math.fround(1.702)),
  'com.microsoft.RotaryEmbedding': microsoftRotaryEmbedding,
  'com.microsoft.SkipLayerNormalization': skipLayerNormalization,
  'com.microsoft.SkipSimplifiedLayerNormalization': skipRmsNormalization,
}
