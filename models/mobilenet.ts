// Depthwise separable net in the manner of MobileNet (Howard et al. 2017, table 1), shortened for small images.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { images } from './intake.ts'
import { activated, defineModel } from './layers.ts'

/** Channels and stride of each block at width 1, after a stem of 32 channels. */
const blocks = [
  { channels: 64, stride: 1 },
  { channels: 128, stride: 2 },
  { channels: 128, stride: 1 },
  { channels: 256, stride: 2 },
  { channels: 256, stride: 1 },
] as const
const stemChannels = 32

/**
 * A depthwise separable net; each block is a depthwise 3x3 and a pointwise 1x1 convolution.
 *
 * With its defaults on [3,32,32] and 10 classes: 136,778 parameters and 16,525,824 MACs.
 */
export const mobilenet = defineArchitecture({
  summary: 'Depthwise separable convolutions',
  options: z.strictObject({
    architecture: z.literal('mobilenet').describe('Depthwise separable net for small images.'),
    width: z
      .number()
      .positive()
      .max(8)
      .default(1)
      .describe('Multiplies the channels of every layer; they are rounded to multiples of 4.'),
  }),
  intake: images(),
  build: ({ width }, shape, random) =>
    defineModel('mobilenet', shape, random, (layers, input) => {
      const scaled = (channels: number) => Math.max(4, Math.round((channels * width) / 4) * 4)
      let x = activated(layers, 'stem', input, scaled(stemChannels), { kernel: 3 })
      for (const [index, { channels, stride }] of blocks.entries()) {
        const name = `block${index + 1}`
        const [group = 1] = x.shape
        x = activated(layers, `${name}.depthwise`, x, group, { kernel: 3, stride, group })
        x = activated(layers, `${name}.pointwise`, x, scaled(channels), { kernel: 1 })
      }
      return layers.linear('classifier', layers.globalPool(x), shape.outputs)
    }),
})
