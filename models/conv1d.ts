// Convolutions along time, after the nets on raw waveforms of Dai et al. (2017, table 1): for audio and other series.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { dropoutRatio } from './common-options.ts'
import { series } from './intake.ts'
import { activated, defineModel, type Feature } from './layers.ts'

/**
 * Convolutions with BatchNormalization and Relu, a maximum over 4 places behind each as long as there are 4, the mean.
 *
 * The channels double from the third convolution on. With its defaults on [6,128] and 6 classes: 36,806 parameters and
 * 418,560 MACs. `depth: 4, width: 128, kernel: 80, stride: 4` is M5 of the paper (published: 0.5 M parameters), which
 * suits raw audio.
 */
export const conv1d = defineArchitecture({
  summary: 'Convolutions along time',
  options: z.strictObject({
    architecture: z.literal('conv1d').describe('1-D convolutions for audio and series.'),
    depth: z.int().min(1).max(10).default(4).describe('Convolutions.'),
    width: z.int().min(1).default(32).describe('Channels of the first two convolutions.'),
    kernel: z
      .int()
      .min(1)
      .default(9)
      .describe('Places that the first convolution sees; the others see 3. 80 for raw audio.'),
    stride: z.int().min(1).default(1).describe('Step of the first convolution. 4 for raw audio.'),
    dropout: dropoutRatio.describe('Share dropped before the classifier while training.'),
  }),
  intake: series,
  build: ({ depth, width, kernel, stride, dropout }, shape, random) =>
    defineModel('conv1d', shape, random, (layers, input) => {
      const [first = 1, second] = input.shape
      let x: Feature = second === undefined ? layers.reshape(input, [1, first]) : input
      for (let index = 0; index < depth; index++) {
        const channels = width * 2 ** Math.max(0, index - 1)
        const options = index === 0 ? { kernel, stride } : { kernel: 3 }
        x = layers.maxPool(activated(layers, `conv${index + 1}`, x, channels, options), 4)
      }
      const pooled = layers.dropout(layers.globalPool(x), dropout)
      return layers.linear('classifier', pooled, shape.outputs)
    }),
})
