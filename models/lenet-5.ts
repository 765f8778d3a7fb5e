// LeNet-5 (LeCun et al. 1998, section II.B, figure 2), for 32x32 or smaller images, which are padded to as much.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { scaled, widthFactor } from './common-options.ts'
import { images } from './intake.ts'
import { defineModel } from './layers.ts'

/**
 * C1, S2, C3, S4, C5, F6 of the paper, then logits for its radial basis functions.
 *
 * Two things are as everybody has them since: every map of C3 sees all maps of S2, and the subsampling has no weights.
 * On [1,28,28] and 10 classes: 61,706 parameters and 416,520 MACs (60,000 and 340,908 connections in the paper, where
 * C3 is sparse).
 */
export const lenet5 = defineArchitecture({
  summary: 'The classic LeNet-5',
  options: z.strictObject({
    architecture: z.literal('lenet-5').describe('The classic LeNet-5 of 1998.'),
    width: widthFactor.describe('Multiplies the channels and units of every layer.'),
    activation: z
      .enum(['tanh', 'relu'])
      .default('tanh')
      .describe('Behind every layer; tanh in the original.'),
    pool: z
      .enum(['average', 'max'])
      .default('average')
      .describe('How maps are halved; average in the original.'),
  }),
  intake: images(12),
  build: ({ width, activation, pool }, shape, random) =>
    defineModel('lenet-5', shape, random, (layers, input) => {
      const halve = pool === 'average' ? layers.averagePool : layers.maxPool
      const small = input.shape.slice(1).some((side) => side < 32)
      const padding = small ? 'same' : 'valid'
      let x = layers.convolution('c1', input, scaled(6, width), { kernel: 5, bias: true, padding })
      x = halve(layers.activation(x, activation))
      const valid = { kernel: 5, bias: true, padding: 'valid' } as const
      x = layers.convolution('c3', x, scaled(16, width), valid)
      x = layers.flatten(halve(layers.activation(x, activation)))
      // On 32x32 images C5 is a convolution over all that is left of them, which is a fully connected layer.
      x = layers.activation(layers.linear('c5', x, scaled(120, width)), activation)
      x = layers.activation(layers.linear('f6', x, scaled(84, width)), activation)
      return layers.linear('classifier', x, shape.outputs)
    }),
})
