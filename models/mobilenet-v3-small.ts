// MobileNet v3 small (Howard et al. 2019, table 2): squeeze and excitation, hard swish, a cheap end.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import {
  dropoutRatio,
  roundChannels,
  stridesWithin,
  totalStride,
  widthFactor,
} from './common-options.ts'
import { images } from './intake.ts'
import { invertedResidual } from './inverted-residual.ts'
import { activated, defineModel } from './layers.ts'

/** Kernel, expanded and last channels, squeeze and excitation, activation and stride of each block. */
const blocks = [
  [3, 16, 16, true, 'relu', 2],
  [3, 72, 24, false, 'relu', 2],
  [3, 88, 24, false, 'relu', 1],
  [5, 96, 40, true, 'hard-swish', 2],
  [5, 240, 40, true, 'hard-swish', 1],
  [5, 240, 40, true, 'hard-swish', 1],
  [5, 120, 48, true, 'hard-swish', 1],
  [5, 144, 48, true, 'hard-swish', 1],
  [5, 288, 96, true, 'hard-swish', 2],
  [5, 576, 96, true, 'hard-swish', 1],
  [5, 576, 96, true, 'hard-swish', 1],
] as const

/**
 * A stem, 11 blocks, a 1x1 convolution; a hidden layer of 1024 units behind the pooling.
 *
 * The convolution behind the blocks has no squeeze and excitation, as in all published weights. On [3,224,224] and 1000
 * classes: 2,542,856 parameters and 56,510,400 MACs (published: 2.5 M and 56 M). On [3,32,32] and 10 classes, with a
 * total stride of 8: 1,528,106 parameters and 17,507,328 MACs.
 */
export const mobilenetV3Small = defineArchitecture({
  summary: 'Inverted residuals with squeeze and excitation',
  options: z.strictObject({
    architecture: z.literal('mobilenet-v3-small').describe('MobileNet v3 small.'),
    width: widthFactor.describe(
      'Multiplies the channels of every layer; they are rounded to multiples of 8.',
    ),
    stride: totalStride,
    dropout: dropoutRatio.describe('Share dropped before the classifier while training.'),
  }),
  intake: images(),
  build: ({ width, stride, dropout }, shape, random) =>
    defineModel('mobilenet-v3-small', shape, random, (layers, input) => {
      const published = [2, ...blocks.map((block) => block[5])]
      const [first, ...strides] = stridesWithin(published, stride, input.shape.slice(1))
      const scaled = (channels: number) => roundChannels(channels * width)
      const activation = 'hard-swish'
      let x = activated(layers, 'stem', input, scaled(16), {
        ...{ kernel: 3, stride: first!, activation },
      })
      for (const [index, [kernel, expanded, channels, excited, kind]] of blocks.entries())
        x = invertedResidual(layers, `block${index + 1}`, x, {
          expanded: scaled(expanded),
          channels: scaled(channels),
          kernel,
          stride: strides[index]!,
          activation: kind,
          excited,
        })
      x = activated(layers, 'last', x, 6 * x.shape[0]!, { kernel: 1, activation })
      const hidden = layers.linear('hidden', layers.globalPool(x), scaled(1024))
      const row = layers.dropout(layers.activation(hidden, activation), dropout)
      return layers.linear('classifier', row, shape.outputs)
    }),
})
