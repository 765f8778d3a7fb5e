// Small models, each an operator among others as onnxruntime's own tests of quantization have it, and what has to become of
// them in each form.
import { type Builder, newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { dataTypes, tensorOf } from '../../../onnx/tensor.ts'
import { weights } from '../../stages/quantize/support.ts'

/** A model of one input and one output, and what it is in 8 bits. */
export interface Topology {
  /** Of a sample. */
  readonly shape: readonly number[]
  write(g: Builder, x: Value): Value
  readonly opset?: number
  /** The operators of the form with integer operators, in order, but for conversions. */
  readonly operators: string
  /** Those of them that stay float when ONNX Runtime has fused the pairs. */
  readonly islands?: string
  /** How many layers dynamic quantization writes as integer operators; 2 unless told. */
  readonly dynamic?: number
  /** By how many steps of its output the result may be off the definition; 1 unless told. */
  readonly steps?: number
}

/** The model of a topology. */
export function modelOf({ shape, write, opset = 17 }: Topology): Model {
  const { model, g } = newModel('test', opset)
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  g.output('y', write(g, x), { dtype: 'float32' })
  return model
}

const pointwise = (g: Builder, x: Value, channels: number, label: string) =>
  g.Conv(x, weights([channels, channels, 1, 1], label))

type Write = Topology['write']

/** An image goes into it. */
const image = { shape: [4, 8, 8] } as const

/** An operator between two convolutions. */
const convs = (operators: string, middle: Write): Topology => ({
  ...image,
  write: (g, x) => pointwise(g, middle(g, pointwise(g, x, 4, 'a')), 4, 'b'),
  operators: ['QLinearConv', ...(operators ? [operators] : []), 'QLinearConv'].join(' '),
})

/** One that stays float between two convolutions. */
const island = (opType: string, middle: Write): Topology => ({
  ...convs(opType, middle),
  islands: opType,
})

/** An operator between two products, the second of which gives float. */
const products = (operators: string, middle: Write, shape = [6, 10]): Topology => ({
  shape,
  write: (g, x) => g.MatMul(middle(g, g.MatMul(x, weights([10, 10], 'a'))), weights([10, 5], 'b')),
  operators,
})

/** An operator between two Gemms. */
const gemms = (middle: Write, operators = 'QGemm QGemm'): Topology => ({
  shape: [10],
  write: (g, x) => {
    const first = g.Gemm(x, weights([10, 12], 'a'), weights([12], 'c'))
    return g.Gemm(middle(g, first), weights([5, 12], 'b'), weights([5], 'd'), { transB: 1 })
  },
  operators,
})

const same: Write = (_g, x) => x

const input = (g: Builder): Value => g.graph.inputs[0]!

const twice = tensorOf('float32', [4], [1, 1, 2, 2])

/** Words: whole numbers from 0 to 15. */
const words = (g: Builder, x: Value): Value =>
  g.Cast(g.Clip(g.Mul(g.Abs(x), 5), 0, 15), { to: dataTypes.int32.code })

const mask = tensorOf(
  'bool',
  [8, 8],
  Array.from({ length: 64 }, (_, index) => (index % 3 === 0 ? 1 : 0)),
)

/** A bias that two layers with inputs of different ranges share, which integers cannot. */
function sharedBias(g: Builder, x: Value): Value {
  const bias = g.constant(weights([4], 'shared', 1))
  const first = g.Conv(x, weights([4, 4, 1, 1], 'a'), bias)
  return g.Conv(g.Mul(g.Relu(first), 7), weights([4, 4, 1, 1], 'b'), bias)
}

/** Weights that two layers share, which is stored once. */
function sharedWeights(g: Builder, x: Value): Value {
  const shared = g.constant(weights([4, 4, 1, 1], 'shared'))
  return g.Conv(g.Relu(g.Conv(x, shared)), shared)
}

/** Self-attention written out, as exporters do, with a head of ten channels. */
function attention(g: Builder, x: Value): Value {
  const [q, k, v] = ['q', 'k', 'v'].map((label) =>
    g.Add(g.MatMul(x, weights([10, 10], label)), weights([10], `${label}.b`)),
  )
  const scores = g.MatMul(q!, g.Transpose(k!, { perm: [0, 2, 1] }))
  const mixed = g.MatMul(g.Softmax(g.Div(scores, Math.sqrt(10)), { axis: -1 }), v!)
  return g.MatMul(mixed, weights([10, 10], 'o'))
}

/** An operator of ONNX Runtime's own. */
const ofRuntime = (
  g: Builder,
  opType: string,
  inputs: Parameters<Builder['node']>[1],
  attributes: Readonly<Record<string, number>>,
): Value => g.node(opType, inputs, { domain: 'com.microsoft', attributes, outputs: 2 })[0]!

/** The models by name. */
export const topologies: Readonly<Record<string, Topology>> = {
  // Layers.
  'Conv with a bias': {
    ...image,
    write: (g, x) => g.Conv(x, weights([3, 4, 3, 3], 'w'), weights([3], 'b')),
    operators: 'QLinearConv',
    dynamic: 1,
  },
  'Conv along one axis': {
    shape: [4, 12],
    write: (g, x) => g.Conv(x, weights([3, 4, 3], 'w'), { strides: [2] }),
    operators: 'QLinearConv',
    dynamic: 1,
  },
  'Conv along three axes': {
    shape: [2, 5, 5, 5],
    write: (g, x) => g.Conv(x, weights([3, 2, 3, 3, 3], 'w')),
    operators: 'QLinearConv',
    dynamic: 1,
  },
  'dilated Conv': {
    ...image,
    write: (g, x) => g.Conv(x, weights([3, 4, 3, 3], 'w'), { dilations: [2, 2] }),
    operators: 'QLinearConv',
    dynamic: 1,
  },
  'Conv that pads by itself': {
    ...image,
    write: (g, x) =>
      g.Conv(x, weights([3, 4, 3, 3], 'w'), { strides: [2, 2], auto_pad: 'SAME_UPPER' }),
    operators: 'QLinearConv',
    dynamic: 1,
  },
  'Conv with weights that are computed': {
    ...image,
    write: (g, x) => {
      const means = g.Slice(g.GlobalAveragePool(x), [0], [1], [0])
      const made = g.Mul(weights([4, 4, 1, 1], 'w'), g.Sigmoid(means))
      return g.Conv(pointwise(g, x, 4, 'a'), made)
    },
    operators: 'GlobalAveragePool Slice Sigmoid Mul QLinearConv Conv',
    islands: 'GlobalAveragePool Slice Sigmoid Mul Conv',
    dynamic: 1,
  },
  'Convs that share weights': { ...convs('', same), write: sharedWeights },
  'Convs that share a bias': {
    ...image,
    write: sharedBias,
    operators: 'QLinearConv QLinearMul QLinearConv',
  },
  'Conv, ConvTranspose, Conv': island('ConvTranspose', (g, x) =>
    g.ConvTranspose(x, weights([4, 4, 3, 3], 'up'), weights([4], 'up.b'), { strides: [2, 2] }),
  ),
  'Gemm, Gemm': gemms(same),
  'Gemm with factors': {
    ...gemms(same, 'QGemm'),
    write: (g, x) => g.Gemm(x, weights([10, 12], 'a'), weights([12], 'c'), { alpha: 0.5, beta: 3 }),
    dynamic: 1,
  },
  'Gemms with biases of two axes': {
    ...gemms(same),
    write: (g, x) => {
      const row = g.Gemm(x, weights([10, 12], 'a'), weights([1, 12], 'c'))
      return g.Gemm(row, weights([12, 5], 'b'), weights([1, 1], 'd'))
    },
  },
  'MatMul, MatMul': products('QLinearMatMul MatMulIntegerToFloat', same),
  'MatMul of a constant and an activation': {
    ...products('MatMulIntegerToFloat MatMul MatMulIntegerToFloat', (g, x) =>
      g.MatMul(weights([6, 6], 'left'), x),
    ),
    islands: 'MatMul',
  },
  'MatMul of activations': {
    ...products(
      'MatMulIntegerToFloat Transpose MatMul MatMulIntegerToFloat',
      (g, x) => g.MatMul(g.Transpose(x, { perm: [0, 2, 1] }), x),
      [10, 10],
    ),
    islands: 'FusedMatMul',
  },
  // What clips.
  'Conv, Relu, Conv': convs('', (g, x) => g.Relu(x)),
  'Conv, Clip to 0..6, Conv': convs('', (g, x) => g.Clip(x, 0, 6)),
  'Conv, Clip to -1..1, Conv': convs('', (g, x) => g.Clip(x, -1, 1)),
  'Conv, Clip to 0.5..1, Conv': island('Clip', (g, x) => g.Clip(x, 0.5, 1)),
  'Conv, MaxPool, Relu, Conv': convs('MaxPool', (g, x) =>
    g.Relu(g.MaxPool(x, { kernel_shape: [2, 2] })),
  ),
  'Gemm, Relu, Gemm': gemms((g, x) => g.Relu(x)),
  'Gemm, Clip, Gemm': gemms((g, x) => g.Clip(x, 0, 6)),
  'Relu, Conv': {
    ...image,
    write: (g, x) => pointwise(g, g.Relu(x), 4, 'a'),
    operators: 'Relu QLinearConv',
    dynamic: 1,
  },
  'Conv, Relu': {
    ...image,
    write: (g, x) => g.Relu(pointwise(g, x, 4, 'a')),
    operators: 'QLinearConv',
    dynamic: 1,
  },
  // Functions.
  'Conv, Sigmoid and Mul, Conv': convs('QLinearSigmoid QLinearMul', (g, x) =>
    g.Mul(x, g.Sigmoid(x)),
  ),
  'Conv, LeakyRelu, Conv': convs('QLinearLeakyRelu', (g, x) => g.LeakyRelu(x, { alpha: 0.1 })),
  'Conv, HardSigmoid, Conv': island('HardSigmoid', (g, x) => g.HardSigmoid(x)),
  'Conv, Softmax, Conv': {
    ...convs('Softmax', (g, x) => g.Softmax(x, { axis: 1 })),
    // Its kernel looks exponentials up, and what it is off by goes through the second convolution.
    steps: 1.2,
  },
  'Conv, Flatten, Softmax': {
    ...image,
    write: (g, x) => g.Softmax(g.Flatten(pointwise(g, x, 4, 'a'))),
    operators: 'QLinearConv Flatten Softmax',
    islands: 'Flatten Softmax',
    dynamic: 1,
  },
  'Conv, InstanceNormalization, Conv': island(
    'InstanceNormalization',
    (g, x) =>
      g.node('InstanceNormalization', [x, weights([4], 'scale', 1), weights([4], 'shift')])[0]!,
  ),
  'Conv, BatchNormalization, Relu, Conv': convs('', (g, x) => {
    const [scale, shift, mean] = ['scale', 'shift', 'mean'].map((label) => weights([4], label, 1))
    const variance = tensorOf('float32', [4], [1, 2, 3, 4])
    return g.Relu(g.BatchNormalization(x, scale, shift, mean, variance))
  }),
  'Conv, LayerNormalization, Conv': island('LayerNormalization', (g, x) =>
    g.LayerNormalization(x, weights([8], 'scale', 1), weights([8], 'shift')),
  ),
  'Conv, CumSum, Conv': island('CumSum', (g, x) => g.CumSum(x, tensorOf('int64', [], [3]))),
  // Arithmetic.
  'Convs into Concat, Conv': {
    ...image,
    write: (g, x) => {
      const three = ['a', 'b', 'c'].map((label) => pointwise(g, x, 4, label))
      return g.Conv(g.Concat(...three, { axis: 1 }), weights([3, 12, 3, 3], 'd'))
    },
    operators: 'QLinearConv QLinearConv QLinearConv QLinearConcat QLinearConv',
    dynamic: 4,
  },
  'Conv, Concat with the input, Slice, Conv': convs('QLinearConcat Slice', (g, x) =>
    g.Slice(g.Concat(x, input(g), { axis: 1 }), [2], [6], [1]),
  ),
  'Conv, Add of a constant image, Conv': convs('QLinearAdd', (g, x) =>
    g.Add(x, weights([4, 8, 8], 'map')),
  ),
  'Conv, Mul of a number, Conv': convs('QLinearMul', (g, x) => g.Mul(x, -0.3)),
  'Conv, Sub and Div, Conv': convs('QLinearMul', (g, x) => g.Div(g.Sub(x, 0.3), 2)),
  'Conv, Where of the input, Conv': island('Where', (g, x) => g.Where(mask, x, input(g))),
  'Conv, Where of a number, Conv': convs('Where', (g, x) => g.Where(mask, x, -2)),
  // Pools.
  'Conv, MaxPool, Conv': convs('MaxPool', (g, x) => g.MaxPool(x, { kernel_shape: [2, 2] })),
  'Conv, MaxPool with its places, Conv': island(
    'MaxPool',
    (g, x) => g.node('MaxPool', [x], { outputs: 2, attributes: { kernel_shape: [2, 2] } })[0]!,
  ),
  'Conv, AveragePool, Conv': convs('QLinearAveragePool', (g, x) =>
    g.AveragePool(x, { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }),
  ),
  'Conv, AveragePool without its padding, Conv': convs('QLinearAveragePool', (g, x) =>
    g.AveragePool(x, { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 }),
  ),
  'Conv, GlobalAveragePool, Conv': convs('QLinearGlobalAveragePool', (g, x) =>
    g.GlobalAveragePool(x),
  ),
  'Conv, ReduceMean, Conv': {
    ...island('ReduceMean', (g, x) => g.ReduceMean(x, [2, 3])),
    opset: 18,
  },
  // What moves elements.
  'Conv, Reshape, Conv': convs('Reshape', (g, x) => g.Reshape(x, [0, 4, 16, 4])),
  'MatMul, Reshape, MatMul': products('QLinearMatMul Reshape MatMulIntegerToFloat', (g, x) =>
    g.Reshape(x, [0, -1, 10]),
  ),
  'MatMul, Transpose, MatMul': products(
    'QLinearMatMul Transpose MatMulIntegerToFloat',
    (g, x) => g.Transpose(x, { perm: [0, 2, 1] }),
    [10, 10],
  ),
  'Gemm, Flatten, Gemm': gemms((g, x) => g.Flatten(x), 'QGemm Flatten QGemm'),
  'Conv, Squeeze, Unsqueeze, Conv': convs('Unsqueeze Squeeze', (g, x) =>
    g.Squeeze(g.Unsqueeze(x, [2]), [2]),
  ),
  'Conv, Split, Concat, Conv': convs('Split QLinearConcat', (g, x) => {
    const [first, second] = g.node('Split', [x, [1, 3]], { outputs: 2, attributes: { axis: 1 } })
    return g.Concat(second, first, { axis: 1 })
  }),
  'Conv, Slice, Conv': convs('Slice', (g, x) => g.Slice(x, [1], [7], [2])),
  'Conv, Tile, Conv': convs('Tile', (g, x) => g.node('Tile', [x, [1, 1, 2, 1]])[0]!),
  'Conv, Gather, Conv': convs('Gather', (g, x) => g.Gather(x, [3, 2, 1, 0], { axis: 1 })),
  'Conv, GatherElements, Conv': convs('GatherElements', (g, x) => {
    const places = Array.from({ length: 64 }, (_, index) => (index * 5) % 8)
    return g.GatherElements(x, tensorOf('int64', [1, 4, 8, 2], places), { axis: 3 })
  }),
  'Conv, DepthToSpace, Conv': {
    ...convs('DepthToSpace', same),
    write: (g, x) => {
      const larger = g.DepthToSpace(pointwise(g, x, 4, 'a'), { blocksize: 2 })
      return g.Conv(larger, weights([3, 1, 3, 3], 'b'))
    },
  },
  'Conv, GlobalAveragePool, Expand, Conv': convs('QLinearGlobalAveragePool Expand', (g, x) =>
    g.Expand(g.GlobalAveragePool(x), tensorOf('int64', [4], [1, 4, 3, 5])),
  ),
  ...Object.fromEntries(
    ['constant', 'edge', 'reflect'].map((mode) => [
      `Conv, Pad with ${mode}, Conv`,
      island('Pad', (g, x) => g.Pad(x, [0, 0, 1, 1, 0, 0, 2, 1], { mode })),
    ]),
  ),
  'Conv, Resize to the nearest, Conv': convs('Resize', (g, x) =>
    g.Resize(x, undefined, twice, { mode: 'nearest' }),
  ),
  ...Object.fromEntries(
    ['linear', 'cubic'].map((mode) => [
      `Conv, ${mode} Resize, Conv`,
      island('Resize', (g, x) => g.Resize(x, undefined, twice, { mode })),
    ]),
  ),
  'Conv, Resize of more than there is, Conv': island('Resize', (g, x) =>
    g.Resize(x, tensorOf('float32', [8], [0, 0, -0.5, 0, 1, 1, 1, 1]), twice, {
      mode: 'nearest',
      coordinate_transformation_mode: 'tf_crop_and_resize',
      extrapolation_value: 9,
    }),
  ),
  // What chooses.
  'Conv, ArgMax': {
    ...image,
    write: (g, x) => {
      const [best] = g.node('ArgMax', [pointwise(g, x, 4, 'a')], { attributes: { axis: 1 } })
      return g.Cast(best, { to: dataTypes.float32.code })
    },
    operators: 'QLinearConv ArgMax',
    dynamic: 1,
  },
  'Conv, TopK, Conv': island(
    'TopK',
    (g, x) => g.node('TopK', [x, [3]], { outputs: 2, attributes: { axis: 3 } })[0]!,
  ),
  // Language.
  'attention, written out': {
    shape: [6, 10],
    write: attention,
    operators:
      'MatMulIntegerToFloat Add MatMulIntegerToFloat Add MatMulIntegerToFloat Add Transpose MatMul Mul Softmax MatMul MatMulIntegerToFloat',
    islands: 'Add Add Add FusedMatMul MatMul Softmax',
    dynamic: 4,
  },
  'Attention, MatMul': {
    shape: [6, 10],
    write: (g, x) => {
      const constants = [weights([10, 30], 'qkv'), weights([30], 'qkv.b')]
      const mixed = ofRuntime(g, 'Attention', [x, ...constants], { num_heads: 2 })
      return g.MatMul(mixed, weights([10, 5], 'b'))
    },
    operators: 'Attention MatMulIntegerToFloat',
    islands: 'Attention',
    dynamic: 1,
  },
  'Gather of rows, MatMul': {
    shape: [6],
    write: (g, x) =>
      g.MatMul(g.Gather(weights([64, 40], 'rows'), words(g, x)), weights([40, 8], 'w')),
    operators: 'Abs Mul Clip Gather Gather Mul MatMulIntegerToFloat',
    islands: 'Abs Mul Clip Gather Gather Mul',
    dynamic: 1,
  },
  'EmbedLayerNormalization, MatMul': {
    shape: [6],
    write: (g, x) => {
      const tables = [16, 6].map((rows) => weights([rows, 10], `rows of ${rows}`))
      const scales = [weights([10], 'scale', 1), weights([10], 'shift')]
      const inputs = [words(g, x), undefined, ...tables, undefined, ...scales]
      return g.MatMul(ofRuntime(g, 'EmbedLayerNormalization', inputs, {}), weights([10, 5], 'w'))
    },
    operators: 'Abs Mul Clip EmbedLayerNormalization MatMulIntegerToFloat',
    islands: 'Abs Mul Clip EmbedLayerNormalization',
    dynamic: 1,
  },
  'MatMul, SkipLayerNormalization, MatMul': {
    ...products('MatMulIntegerToFloat SkipLayerNormalization MatMulIntegerToFloat', (g, x) =>
      ofRuntime(g, 'SkipLayerNormalization', [x, input(g), weights([10], 's', 1)], {}),
    ),
    islands: 'SkipLayerNormalization',
  },
}
