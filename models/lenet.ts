// A small convolutional net after LeNet (LeCun et al. 1998), with Relu and max pooling; ‘lenet-5’ is the classic one.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { images } from './intake.ts'
import { defineModel } from './layers.ts'

/**
 * Two 5x5 convolutions and fully connected layers; for images of at least 4x4, with valid padding of at least 16x16.
 *
 * With its defaults on [1,28,28] and 10 classes: 69,362 parameters and 654,696 MACs; with 20 and 50 channels, 500 hidden units and
 * valid padding it is Caffe's LeNet-5 of 431,080 parameters.
 */
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
    padding: z
      .enum(['same', 'valid'])
      .default('same')
      .describe('Whether convolutions see zeros around the image or only what lies in it.'),
  }),
  intake: (shape, { padding }) => images(padding === 'valid' ? 16 : 4)(shape),
  build: ({ channels, hidden, padding }, shape, random) =>
    defineModel('lenet', shape, random, (layers, input) => {
      let x = layers.convolution('conv1', input, channels[0], { kernel: 5, bias: true, padding })
      x = layers.maxPool(layers.relu(x))
      x = layers.convolution('conv2', x, channels[1], { kernel: 5, bias: true, padding })
      x = layers.flatten(layers.maxPool(layers.relu(x)))
      for (const [index, width] of hidden.entries())
        x = layers.relu(layers.linear(`hidden${index + 1}`, x, width))
      return layers.linear('classifier', x, shape.outputs)
    }),
})
