// Losses that compare a student's outputs with the teacher's as plain numbers.
import { z } from 'zod'
import { sizeOf } from '../../onnx/tensor.ts'
import { defineLoss, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { cosine, squares, total } from './formulas.ts'

/** mean (z - t)² (Ba and Caruana 2014, equation 1) */
export const mse = defineLoss({
  options: z.strictObject({
    loss: z.literal('mse').describe("Mean squared error to the teacher's outputs."),
    weight,
  }),
  comparesWith: ['teacher'],
  write(g, { logits, teacher }) {
    const z = logits()
    const difference = g.Sub(z, g.Reshape(teacher(0), shapeOf(z)))
    return g.Mul(squares(g, difference), 1 / sizeOf(shapeOf(z)))
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
