import { describe, it } from '@jest/globals'
import type { SymbolicTensor } from '@tensorflow/tfjs'
import { expectSameLayers, tf } from './support.ts'

const { layers } = tf

/** What a layer does with an input while a model is built. */
interface Layer {
  apply(input: SymbolicTensor): unknown
}

/** One layer over one input of a shape. */
const rows: readonly (readonly [string, readonly number[], () => Layer])[] = [
  ['dense', [5], () => layers.dense({ units: 3 })],
  ['dense without bias', [5], () => layers.dense({ units: 3, useBias: false })],
  ['dense over steps', [4, 5], () => layers.dense({ units: 3, activation: 'relu' })],
  ...(
    [
      'elu',
      'hardSigmoid',
      'linear',
      'relu',
      'relu6',
      'selu',
      'sigmoid',
      'softmax',
      'softplus',
      'softsign',
      'tanh',
      'swish',
      'mish',
      'gelu',
    ] as const
  ).map(
    (activation) =>
      [`activation ${activation}`, [3, 7], () => layers.activation({ activation })] as const,
  ),
  ['leaky relu', [7], () => layers.leakyReLU({ alpha: 0.2 })],
  ['relu with a maximum', [7], () => layers.reLU({ maxValue: 1.5 })],
  ['relu', [7], () => layers.reLU()],
  ['elu', [7], () => layers.elu()],
  ['thresholded relu', [20], () => layers.thresholdedReLU({ theta: 0.7 })],
  ['softmax', [3, 4], () => layers.softmax({ axis: 2 })],
  ['prelu', [4, 4, 3], () => layers.prelu()],
  ['prelu, shared', [4, 4, 3], () => layers.prelu({ sharedAxes: [1, 2] })],
  ['dropout', [4], () => layers.dropout({ rate: 0.5 })],
  ['spatial dropout', [4, 3], () => layers.spatialDropout1d({ rate: 0.5 })],
  ['gaussian noise', [4], () => layers.gaussianNoise({ stddev: 0.5 })],
  ['gaussian dropout', [4], () => layers.gaussianDropout({ rate: 0.5 })],
  ['alpha dropout', [4], () => layers.alphaDropout({ rate: 0.5 })],
  ['flatten', [3, 4, 2], () => layers.flatten()],
  ['flatten, channels first', [3, 4, 2], () => layers.flatten({ dataFormat: 'channelsFirst' })],
  ['reshape', [3, 4], () => layers.reshape({ targetShape: [2, 6] })],
  ['reshape with an open size', [3, 4], () => layers.reshape({ targetShape: [2, -1, 3] })],
  ['permute', [3, 4, 2], () => layers.permute({ dims: [3, 1, 2] })],
  ['repeat', [3], () => layers.repeatVector({ n: 4 })],
  [
    'zero padding',
    [3, 4, 2],
    () =>
      layers.zeroPadding2d({
        padding: [
          [1, 2],
          [0, 3],
        ],
      }),
  ],
  ['zero padding alike', [3, 4, 2], () => layers.zeroPadding2d({ padding: 2 })],
  [
    'zero padding, channels first',
    [2, 3, 4],
    () => layers.zeroPadding2d({ padding: [1, 2], dataFormat: 'channelsFirst' }),
  ],
  [
    'cropping',
    [6, 7, 2],
    () =>
      layers.cropping2D({
        cropping: [
          [1, 2],
          [0, 3],
        ],
      }),
  ],
  ['upsampling', [3, 4, 2], () => layers.upSampling2d({ size: [2, 3] })],
  [
    'upsampling, bilinear',
    [3, 4, 2],
    () => layers.upSampling2d({ size: [2, 3], interpolation: 'bilinear' }),
  ],
  [
    'upsampling, channels first',
    [2, 3, 4],
    () => layers.upSampling2d({ size: [2, 2], dataFormat: 'channelsFirst' }),
  ],
  ['batch normalisation', [5, 5, 3], () => layers.batchNormalization()],
  ['batch normalisation of vectors', [5], () => layers.batchNormalization({ scale: false })],
  ['batch normalisation of steps', [4, 5], () => layers.batchNormalization({ center: false })],
  ['layer normalisation', [4, 6], () => layers.layerNormalization()],
  [
    'layer normalisation over two axes',
    [3, 4, 6],
    () => layers.layerNormalization({ axis: [-2, -1], epsilon: 0.1, center: false }),
  ],
  ['rescaling', [4], () => layers.rescaling({ scale: 0.5, offset: -1 })],
  ['conv 1d', [9, 3], () => layers.conv1d({ filters: 4, kernelSize: 3, padding: 'same' })],
  ['conv 1d with strides', [9, 3], () => layers.conv1d({ filters: 4, kernelSize: 4, strides: 2 })],
  [
    'conv 1d, dilated',
    [9, 3],
    () => layers.conv1d({ filters: 4, kernelSize: 3, dilationRate: 2, padding: 'same' }),
  ],
  ['conv 2d', [7, 8, 3], () => layers.conv2d({ filters: 4, kernelSize: 3 })],
  [
    'conv 2d, same with strides',
    [8, 8, 3],
    () => layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' }),
  ],
  [
    'conv 2d, even kernel',
    [8, 7, 3],
    () => layers.conv2d({ filters: 4, kernelSize: [2, 4], padding: 'same', activation: 'relu' }),
  ],
  [
    'conv 2d, dilated',
    [9, 9, 2],
    () => layers.conv2d({ filters: 3, kernelSize: 3, dilationRate: 2, padding: 'same' }),
  ],
  [
    'conv 2d, channels first',
    [3, 8, 8],
    () =>
      layers.conv2d({ filters: 4, kernelSize: 3, dataFormat: 'channelsFirst', padding: 'same' }),
  ],
  ['depthwise', [7, 8, 3], () => layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' })],
  [
    'depthwise with a multiplier',
    [7, 8, 3],
    () =>
      layers.depthwiseConv2d({
        kernelSize: 3,
        depthMultiplier: 2,
        strides: 2,
        padding: 'same',
        activation: 'relu6',
      }),
  ],
  [
    'separable',
    [7, 8, 3],
    () =>
      layers.separableConv2d({ filters: 5, kernelSize: 3, depthMultiplier: 2, padding: 'same' }),
  ],
  [
    'transposed',
    [4, 5, 3],
    () => layers.conv2dTranspose({ filters: 2, kernelSize: 3, strides: 2, padding: 'same' }),
  ],
  ['transposed, valid', [4, 5, 3], () => layers.conv2dTranspose({ filters: 2, kernelSize: 3 })],
  [
    'transposed, strides beyond the kernel',
    [4, 5, 3],
    () => layers.conv2dTranspose({ filters: 2, kernelSize: 2, strides: 3 }),
  ],
  [
    'transposed, even kernel',
    [4, 5, 3],
    () => layers.conv2dTranspose({ filters: 2, kernelSize: 4, strides: 2, padding: 'same' }),
  ],
  ['max pooling 1d', [9, 3], () => layers.maxPooling1d({ poolSize: 2 })],
  ['average pooling 1d', [9, 3], () => layers.averagePooling1d({ poolSize: 3, padding: 'same' })],
  ['max pooling', [7, 8, 3], () => layers.maxPooling2d({ poolSize: 2 })],
  [
    'max pooling, same',
    [7, 8, 3],
    () => layers.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
  ],
  [
    'average pooling, same',
    [7, 8, 3],
    () => layers.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
  ],
  [
    'average pooling, channels first',
    [3, 8, 8],
    () => layers.averagePooling2d({ poolSize: 2, dataFormat: 'channelsFirst' }),
  ],
  ['global average 1d', [7, 3], () => layers.globalAveragePooling1d()],
  ['global maximum 1d', [7, 3], () => layers.globalMaxPooling1d()],
  ['global average', [7, 6, 3], () => layers.globalAveragePooling2d({})],
  ['global maximum', [7, 6, 3], () => layers.globalMaxPooling2d({})],
  ...(['simpleRNN', 'gru', 'lstm'] as const).flatMap((kind) =>
    [
      {},
      { returnSequences: true },
      { goBackwards: true },
      { goBackwards: true, returnSequences: true, useBias: false },
      { activation: 'relu' as const },
    ].map(
      (options) =>
        [
          `${kind} ${JSON.stringify(options)}`,
          [5, 3],
          () => (layers[kind] as typeof layers.simpleRNN)({ units: 4, ...options }),
        ] as const,
    ),
  ),
  ['lstm, sigmoid gates', [5, 3], () => layers.lstm({ units: 4, recurrentActivation: 'sigmoid' })],
  ['gru, sigmoid gates', [5, 3], () => layers.gru({ units: 4, recurrentActivation: 'sigmoid' })],
  ...(['concat', 'sum', 'mul', 'ave'] as const).flatMap((mergeMode) =>
    [true, false].map(
      (returnSequences) =>
        [
          `bidirectional ${mergeMode} ${returnSequences}`,
          [5, 3],
          () =>
            layers.bidirectional({
              layer: layers.lstm({ units: 4, returnSequences }) as never,
              mergeMode,
            }),
        ] as const,
    ),
  ),
  [
    'bidirectional gru',
    [5, 3],
    () => layers.bidirectional({ layer: layers.gru({ units: 4 }) as never, mergeMode: 'concat' }),
  ],
  [
    'dense at every step',
    [5, 3],
    () => layers.timeDistributed({ layer: layers.dense({ units: 2 }) }),
  ],
  [
    'convolution at every step',
    [3, 6, 6, 2],
    () => layers.timeDistributed({ layer: layers.conv2d({ filters: 2, kernelSize: 3 }) }),
  ],
]

describe('each layer', () => {
  it.each(rows)('%s gives what TensorFlow.js gives', async (_, shape, make) => {
    const input = tf.input({ shape: [...shape] })
    const output = make().apply(input) as SymbolicTensor
    await expectSameLayers(tf.model({ inputs: input, outputs: output }))
  })
})
