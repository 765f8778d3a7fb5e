// LeNet (LeCun et al. 1998) with Relu and max pooling: two 5x5 convolutions, then fully connected layers.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { defineModel } from './layers.ts'

/** Two convolutions and fully connected layers; for images of at least 4x4. */
export const lenet = defineArchitecture({
  summary: 'Two convolutions, then fully connected layers',
  options: z.strictObject({
    architecture: z.literal('lenet').describe('LeNet: two 5x5 convolutions, then dense layers.'),
    channels: z
      .tuple([z.int().min(1), z.int().min(1)])
      .default([6, 16])
      .describe('Channels of the two convolutions.'),
    hidden: z
      .array(z.int().min(1))
      .default([84])
      .describe('Width of each hidden fully connected layer.'),
  }),
  images: { minimumSide: 4 },
  build: ({ channels, hidden }, shape, random) =>
    defineModel('lenet', shape, random, (layers, input) => {
      let x = input
      for (const [index, width] of channels.entries()) {
        x = layers.convolution(`conv${index + 1}`, x, width, { kernel: 5, bias: true })
        x = layers.maxPool(layers.relu(x))
      }
      x = layers.flatten(x)
      for (const [index, width] of hidden.entries())
        x = layers.relu(layers.linear(`hidden${index + 1}`, x, width))
      return layers.linear('classifier', x, shape.classes)
    }),
})
