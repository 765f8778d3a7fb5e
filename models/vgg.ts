// VGG (Simonyan and Zisserman 2015, table 1) as it is used for small images: BatchNormalization behind each
// convolution (Ioffe and Szegedy 2015), and one fully connected layer in place of three.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { scaled, widthFactor } from './common-options.ts'
import { images } from './intake.ts'
import { activated, defineModel, type Feature } from './layers.ts'

/** Convolutions of each stage by depth; each stage ends with a pool. 8 is the short one of Tian et al. 2020 (CRD). */
const stages = {
  8: [1, 1, 1, 1, 1],
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
} as const
const channels = [64, 128, 256, 512, 512] as const

/**
 * 3x3 convolutions in five stages, each at half the resolution of the one before; pools that find one place are left
 * out.
 *
 * On [3,32,32] and 10 classes: 14,724,042 parameters and 313,201,664 MACs at depth 16 (published for CIFAR: 14.7 M
 * parameters), and 3,917,386 parameters and 67,834,880 MACs at depth 8, the default.
 */
export const vgg = defineArchitecture({
  summary: 'Plain 3x3 convolutions in five stages',
  options: z.strictObject({
    architecture: z.literal('vgg').describe('VGG with BatchNormalization for small images.'),
    depth: z
      .union([8, 11, 13, 16, 19].map((depth) => z.literal(depth as keyof typeof stages)))
      .default(8)
      .describe('Layers with weights as the paper counts them, with three fully connected ones.'),
    width: widthFactor.describe('Multiplies the channels of every layer.'),
  }),
  intake: images(),
  build: ({ depth, width }, shape, random) =>
    defineModel(`vgg${depth}`, shape, random, (layers, input) => {
      let x: Feature = input
      for (const [stage, count] of stages[depth].entries()) {
        for (let index = 0; index < count; index++) {
          const name = `stage${stage + 1}.conv${index + 1}`
          x = activated(layers, name, x, scaled(channels[stage]!, width), { kernel: 3 })
        }
        x = layers.maxPool(x)
      }
      return layers.linear('classifier', layers.globalPool(x), shape.outputs)
    }),
})
