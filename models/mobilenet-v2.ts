// MobileNet v2 (Sandler et al. 2018, table 2): inverted residuals with linear bottlenecks.
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

/** Expansion t, channels c, blocks n, stride s of the first of them. */
const stages = [
  { t: 1, c: 16, n: 1, s: 1 },
  { t: 6, c: 24, n: 2, s: 2 },
  { t: 6, c: 32, n: 3, s: 2 },
  { t: 6, c: 64, n: 4, s: 2 },
  { t: 6, c: 96, n: 3, s: 1 },
  { t: 6, c: 160, n: 3, s: 2 },
  { t: 6, c: 320, n: 1, s: 1 },
] as const

/**
 * A stem, 17 inverted residuals, a 1x1 convolution of 1280 channels.
 *
 * On [3,224,224] and 1000 classes: 3,504,872 parameters and 300,774,272 MACs (published: 3.4 M and 300 M). On [3,32,32]
 * and 10 classes, with a total stride of 8: 2,236,682 parameters and 87,976,448 MACs.
 */
export const mobilenetV2 = defineArchitecture({
  summary: 'Inverted residuals with linear bottlenecks',
  options: z.strictObject({
    architecture: z.literal('mobilenet-v2').describe('MobileNet v2.'),
    width: widthFactor.describe(
      'Multiplies the channels of every layer, rounded to multiples of 8; the last has at least 1280.',
    ),
    stride: totalStride,
    dropout: dropoutRatio.describe('Share dropped before the classifier while training.'),
  }),
  intake: images(),
  build: ({ width, stride, dropout }, shape, random) =>
    defineModel('mobilenet-v2', shape, random, (layers, input) => {
      const published = [2, ...stages.map(({ s }) => s)]
      const [first, ...strides] = stridesWithin(published, stride, input.shape.slice(1))
      const scaled = (channels: number) => roundChannels(channels * width)
      const activation = 'relu6'
      let x = activated(layers, 'stem', input, scaled(32), {
        ...{ kernel: 3, stride: first!, activation },
      })
      let count = 0
      for (const [stage, { t, c, n }] of stages.entries())
        for (let block = 0; block < n; block++) {
          count++
          x = invertedResidual(layers, `block${count}`, x, {
            expanded: t * x.shape[0]!,
            channels: scaled(c),
            kernel: 3,
            stride: block === 0 ? strides[stage]! : 1,
            activation,
            excited: false,
          })
        }
      const last = roundChannels(1280 * Math.max(1, width))
      x = activated(layers, 'last', x, last, { kernel: 1, activation })
      const pooled = layers.dropout(layers.globalPool(x), dropout)
      return layers.linear('classifier', pooled, shape.outputs)
    }),
})
