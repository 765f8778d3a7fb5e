// Multilayer perceptron: the sample in one row, hidden layers with Relu, logits.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { defineModel } from './layers.ts'

/** Fully connected layers with Relu between them. */
export const mlp = defineArchitecture({
  summary: 'Fully connected layers',
  options: z.strictObject({
    architecture: z.literal('mlp').describe('Fully connected layers with Relu between them.'),
    hidden: z
      .array(z.int().min(1))
      .default([256, 128])
      .describe('Width of each hidden layer; an empty list makes a linear model.'),
  }),
  build: ({ hidden }, shape, random) =>
    defineModel('mlp', shape, random, (layers, input) => {
      let x = layers.flatten(input)
      for (const [index, width] of hidden.entries())
        x = layers.relu(layers.linear(`hidden${index + 1}`, x, width))
      return layers.linear('classifier', x, shape.classes)
    }),
})
