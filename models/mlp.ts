// Multilayer perceptron: the sample in one row, hidden layers with an activation, logits.
import { z } from 'zod'
import { activationName } from './activations.ts'
import { defineArchitecture } from './architecture.ts'
import { dropoutRatio } from './common-options.ts'
import { anyFloats } from './intake.ts'
import { defineModel } from './layers.ts'
import { perceptron } from './perceptron.ts'

/**
 * Fully connected layers with an activation between them; several inputs are put one after the other.
 *
 * With its defaults on [1,28,28] and 10 classes: 235,146 parameters and 234,752 MACs.
 */
export const mlp = defineArchitecture({
  summary: 'Fully connected layers',
  options: z.strictObject({
    architecture: z.literal('mlp').describe('Fully connected layers with Relu between them.'),
    hidden: z
      .array(z.int().min(1))
      .default([256, 128])
      .describe('Width of each hidden layer; an empty list makes a linear model.'),
    activation: activationName.default('relu').describe('Behind each hidden layer.'),
    normalisation: z
      .boolean()
      .default(false)
      .describe('BatchNormalization before each activation.'),
    dropout: dropoutRatio.describe('Share of each hidden layer that is dropped while training.'),
  }),
  intake: anyFloats,
  build: ({ hidden, ...options }, shape, random) =>
    defineModel('mlp', shape, random, (layers, _, inputs) => {
      const row = layers.concatenation(inputs.map((input) => layers.flatten(input)))
      const x = perceptron(layers, 'hidden', row, hidden, options)
      return layers.linear('classifier', x, shape.outputs)
    }),
})
