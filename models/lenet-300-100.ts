// LeNet-300-100 (LeCun et al. 1998, section III.C.4): two hidden fully connected layers, the classic subject of pruning.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { scaled, widthFactor } from './common-options.ts'
import { anyFloats } from './intake.ts'
import { defineModel } from './layers.ts'
import { perceptron } from './perceptron.ts'

const widths = [300, 100] as const

/**
 * Hidden layers of 300 and 100 units.
 *
 * On [1,28,28] and 10 classes: 266,610 parameters (as published) and 266,200 MACs.
 */
export const lenet300100 = defineArchitecture({
  summary: 'Fully connected layers of 300 and 100 units',
  options: z.strictObject({
    architecture: z.literal('lenet-300-100').describe('Hidden layers of 300 and 100 units.'),
    width: widthFactor.describe('Multiplies the units of both hidden layers.'),
    activation: z
      .enum(['relu', 'tanh'])
      .default('relu')
      .describe(
        'Behind each hidden layer; tanh in the original, relu in the literature on pruning.',
      ),
  }),
  intake: anyFloats,
  build: ({ width, activation }, shape, random) =>
    defineModel('lenet-300-100', shape, random, (layers, _, inputs) => {
      const row = layers.concatenation(inputs.map((input) => layers.flatten(input)))
      const units = widths.map((each) => scaled(each, width))
      const options = { activation, normalisation: false, dropout: 0 }
      const x = perceptron(layers, 'hidden', row, units, options)
      return layers.linear('classifier', x, shape.outputs)
    }),
})
