// Depthwise separable net for keyword spotting (Zhang et al. 2017, ‘Hello Edge’), as the small one of MLPerf Tiny
// (Banbury et al. 2021): for spectrograms [1, frames, bins].
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { dropoutRatio } from './common-options.ts'
import { images } from './intake.ts'
import { activated, defineModel } from './layers.ts'

/**
 * A 10x4 convolution with stride 2, blocks of a depthwise 3x3 and a pointwise 1x1 convolution, the mean, logits.
 *
 * With its defaults on [1,49,10] and 12 classes: 23,180 parameters and 2,656,768 MACs. MLPerf Tiny counts 24,908: 576
 * biases that BatchNormalization makes needless, and 1152 running statistics, are in that.
 */
export const dsCnn = defineArchitecture({
  summary: 'Depthwise separable convolutions on spectrograms',
  options: z.strictObject({
    architecture: z.literal('ds-cnn').describe('Depthwise separable net for keyword spotting.'),
    channels: z.int().min(1).default(64).describe('Channels of every layer.'),
    blocks: z.int().min(1).default(4).describe('Depthwise separable blocks.'),
    kernel: z
      .tuple([z.int().min(1), z.int().min(1)])
      .default([10, 4])
      .describe('Frames and bins that the first convolution sees.'),
    stride: z
      .tuple([z.int().min(1), z.int().min(1)])
      .default([2, 2])
      .describe('Steps of the first convolution along frames and bins.'),
    dropout: dropoutRatio.describe(
      'Share dropped behind the first convolution and before the classifier while training.',
    ),
  }),
  intake: images(),
  build: ({ channels, blocks, kernel, stride, dropout }, shape, random) =>
    defineModel('ds-cnn', shape, random, (layers, input) => {
      let x = activated(layers, 'stem', input, channels, { kernel, stride })
      x = layers.dropout(x, dropout)
      for (let block = 1; block <= blocks; block++) {
        const depthwise = { kernel: 3, group: channels }
        x = activated(layers, `block${block}.depthwise`, x, channels, depthwise)
        x = activated(layers, `block${block}.pointwise`, x, channels, { kernel: 1 })
      }
      const pooled = layers.dropout(layers.globalPool(x), dropout)
      return layers.linear('classifier', pooled, shape.outputs)
    }),
})
