// Features themselves: the student's tapped values are to be those of the teacher.
import { z } from 'zod'
import { sizeOf } from '../../onnx/tensor.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { cosine, squares, total } from './formulas.ts'

/** Mean of (s - t)², of |s - t|, or of 1 - cos(s, t) of each sample (Romero et al. 2015, equation 3, for the squares). */
export const feature = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('feature')
      .describe("Distance of the student's tapped values to the teacher's: FitNets' hints."),
    ...pairOptions,
    distance: z
      .enum(['squared', 'absolute', 'cosine'])
      .default('squared')
      .describe('What is averaged: squares, absolute values, or 1 - cosine of each sample.'),
  }),
  comparesWith: [],
  write(g, context, options) {
    const { batch } = context
    const terms = context.pairs(options, 'all', 'feature').map(({ student, teacher }) => {
      const size = sizeOf(shapeOf(teacher))
      if (options.distance === 'cosine') {
        const rows = (value: typeof student) => g.Reshape(value, [batch, size / batch])
        return g.Sub(1, g.Mul(total(g, cosine(g, rows(student), rows(teacher))), 1 / batch))
      }
      const difference = g.Sub(student, teacher)
      const sum =
        options.distance === 'squared' ? squares(g, difference) : total(g, g.Abs(difference))
      return g.Mul(sum, 1 / size)
    })
    return g.Mul(
      terms.reduce((sum, term) => g.Add(sum, term)),
      1 / terms.length,
    )
  },
})
