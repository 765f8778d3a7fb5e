// Activation boundaries (Heo, Lee, Yun and Choi 2019): which neurons are active, not how much.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import { shapeOf, step } from '../rule.ts'
import { squares } from './formulas.ts'
import { meanOf } from './maps.ts'

/**
 * Mean of max(0, μ - ρ s)², ρ = 1 where the teacher's neuron is active (t > 0), else -1 (section 3, with the mean over
 * neurons in place of their sum).
 */
export const activationBoundary = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('activation-boundary')
      .describe(
        "How far the student's values are from the side of zero that the teacher's are on; values of any shape, as they are before their activation.",
      ),
    ...pairOptions,
    margin: z.number().positive().default(1).describe('The distance μ from zero to be reached.'),
  }),
  comparesWith: [],
  write(g, context, options) {
    const terms = context.pairs(options, 'all', options.loss).map(({ student, teacher, name }) => {
      // Without a connector it could never be below zero.
      const { producer } = student
      const made = producer?.opType === 'Reshape' ? producer.input(0).producer : producer
      if (made?.opType === 'Relu')
        throw new UserError(
          `${context.where}: 'activation-boundary' compares values before their activation: the student's '${name}' is the output of a Relu — tap its input, or use connector 'linear'`,
        )
      const side = g.Sub(g.Mul(step(g, teacher), 2), 1)
      const missing = g.Relu(g.Sub(options.margin, g.Mul(side, student)))
      return g.Mul(squares(g, missing), 1 / sizeOf(shapeOf(teacher)))
    })
    return meanOf(g, terms)
  },
})
