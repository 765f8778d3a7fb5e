// MobileNet (Howard et al. 2017, table 1): depthwise separable convolutions. ‘mobilenet’ is a short form of it.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { roundChannels, stridesWithin, totalStride, widthFactor } from './common-options.ts'
import { images } from './intake.ts'
import { activated, defineModel } from './layers.ts'

/** Channels and stride of each block, after a stem of 32 channels and stride 2. */
const blocks = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [1024, 2],
  [1024, 1],
] as const

/**
 * A stem and 13 blocks of a depthwise 3x3 and a pointwise 1x1 convolution.
 *
 * On [3,224,224] and 1000 classes: 4,231,976 parameters and 568,740,352 MACs (published: 4.2 M and 569 M). On [3,32,32]
 * and 10 classes, with a total stride of 8: 3,217,226 parameters and 175,556,608 MACs.
 */
export const mobilenetV1 = defineArchitecture({
  summary: 'Depthwise separable convolutions, 13 blocks',
  options: z.strictObject({
    architecture: z.literal('mobilenet-v1').describe('MobileNet v1.'),
    width: widthFactor.describe(
      'Multiplies the channels of every layer; they are rounded to multiples of 8.',
    ),
    stride: totalStride,
  }),
  intake: images(),
  build: ({ width, stride }, shape, random) =>
    defineModel('mobilenet-v1', shape, random, (layers, input) => {
      const published = [2, ...blocks.map(([, each]) => each)]
      const [first, ...strides] = stridesWithin(published, stride, input.shape.slice(1))
      const scaled = (channels: number) => roundChannels(channels * width)
      let x = activated(layers, 'stem', input, scaled(32), { kernel: 3, stride: first! })
      for (const [index, [channels]] of blocks.entries()) {
        const name = `block${index + 1}`
        const depthwise = { kernel: 3, stride: strides[index]!, group: x.shape[0]! }
        x = activated(layers, `${name}.depthwise`, x, x.shape[0]!, depthwise)
        x = activated(layers, `${name}.pointwise`, x, scaled(channels), { kernel: 1 })
      }
      return layers.linear('classifier', layers.globalPool(x), shape.outputs)
    }),
})
