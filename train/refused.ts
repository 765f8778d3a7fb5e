// Operators that cannot be trained through, with the reason that an error message and docs/ops.md give.

const dataDependent = 'how often its body runs may depend on data'
const boxes = 'its output is a choice of boxes'
const sequences = 'it makes or reads a list of tensors'
const strings = 'its elements are texts'
const quantized = 'it is quantized already: train the model before quantizing it'
const fused = "it is written by ONNX Runtime's optimizations: export the model without them"
const generation = 'it keeps keys and values for generating text: export the model without a cache'
const fourier = 'it works on complex numbers: write it as a product with constant matrices'

/** Reasons by operator (with its domain, where that is not ONNX's own). */
export const refused: Readonly<Record<string, string>> = {
  ConcatFromSequence: sequences,
  ConvInteger: quantized,
  DFT: fourier,
  DeformConv: 'where it reads depends on data: write it with GridSample',
  Det: 'its gradient needs an inverse matrix, which no operator gives',
  DynamicQuantizeLinear: quantized,
  If: 'which branch runs depends on data; one with a constant condition is resolved',
  Loop: dataDependent,
  MatMulInteger: quantized,
  MaxRoiPool: boxes,
  Optional: sequences,
  OptionalGetElement: sequences,
  QLinearConv: quantized,
  QLinearMatMul: quantized,
  RoiAlign: boxes,
  STFT: fourier,
  Scan: dataDependent,
  SequenceAt: sequences,
  SequenceConstruct: sequences,
  SequenceEmpty: sequences,
  SequenceErase: sequences,
  SequenceInsert: sequences,
  SequenceMap: sequences,
  SplitToSequence: sequences,
  StringConcat: strings,
  StringNormalizer: strings,
  StringSplit: strings,
  TensorScatter: generation,
  Unique: 'how many elements it has depends on data',
  'com.microsoft.DecoderMaskedMultiHeadAttention': generation,
  'com.microsoft.DynamicQuantizeLSTM': quantized,
  'com.microsoft.DynamicQuantizeMatMul': quantized,
  'com.microsoft.EmbedLayerNormalization': fused,
  'com.microsoft.FusedConv': fused,
  'com.microsoft.GroupQueryAttention': generation,
  'com.microsoft.MatMulIntegerToFloat': quantized,
  'com.microsoft.MatMulNBits': quantized,
  'com.microsoft.NhwcMaxPool': fused,
  'com.microsoft.PackedAttention': fused,
  'com.microsoft.PackedMultiHeadAttention': fused,
  'com.microsoft.QAttention': quantized,
  'com.microsoft.QGemm': quantized,
  'com.microsoft.QLinearAdd': quantized,
  'com.microsoft.QLinearAveragePool': quantized,
  'com.microsoft.QLinearConcat': quantized,
  'com.microsoft.QLinearGlobalAveragePool': quantized,
  'com.microsoft.QLinearLeakyRelu': quantized,
  'com.microsoft.QLinearMul': quantized,
  'com.microsoft.QLinearSigmoid': quantized,
  'com.microsoft.QLinearSoftmax': quantized,
  'com.microsoft.SparseAttention': generation,
}
