// Losses that compare a student's outputs with the teacher's as plain numbers.
import { z } from 'zod'
import { sizeOf } from '../../onnx/tensor.ts'
import { defineLoss, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { cosine, squares, total } from './formulas.ts'
import { logitsOfBoth, meanOfRows } from './rows.ts'

/** mean (z - t)² (Ba and Caruana 2014, equation 1), mean |z - t|, or the mean over rows of 1 - cos(z, t). */
export const mse = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('mse')
      .describe("Mean squared error to the teacher's outputs, or another distance of the two."),
    weight,
    distance: z
      .enum(['squared', 'absolute', 'cosine'])
      .default('squared')
      .describe('What is averaged: squares, absolute values, or 1 - cosine of each row of logits.'),
  }),
  comparesWith: ['teacher'],
  write(g, context, { distance }) {
    const { student, teacher } = logitsOfBoth(g, context)
    if (distance === 'cosine') return meanOfRows(g, context, g.Sub(1, cosine(g, student, teacher)))
    const difference = g.Sub(student, teacher)
    const each = distance === 'squared' ? g.Mul(difference, difference) : g.Abs(difference)
    return g.Mul(meanOfRows(g, context, each), 1 / shapeOf(student)[1]!)
  },
})

/** Mean of 1 - cos(y, t). */
export const embedding = defineLoss({
  options: z.strictObject({
    loss: z.literal('embedding').describe("1 - cosine to the teacher's output."),
    weight,
  }),
  comparesWith: ['teacher'],
  write(g, { predictions, teacher, batch }) {
    const own = predictions()
    const cosines = cosine(g, own, g.Reshape(teacher(0), shapeOf(own)))
    return g.Sub(1, g.Mul(total(g, cosines), 1 / batch))
  },
})

/** Σ over outputs of mean (y - t)² / mean t², so that outputs of different scale count alike. */
export const match = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('match')
      .describe("Squared error to all of the teacher's outputs, each relative to its own size."),
    weight,
  }),
  comparesWith: ['teacher', 'all outputs'],
  write(g, { outputs, teacher }) {
    const terms = outputs.map((output, index) => {
      const theirs = teacher(index)
      const error = squares(g, g.Sub(output, theirs))
      return g.Div(error, g.Add(squares(g, theirs), 1e-12 * sizeOf(shapeOf(output))))
    })
    return terms.reduce((sum, term) => g.Add(sum, term))
  },
})
