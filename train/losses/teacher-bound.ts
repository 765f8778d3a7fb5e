// Regression with the teacher as a bound (Chen, Choi, Yu, Han and Chandraker 2017).
import { z } from 'zod'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { float32, total } from './formulas.ts'

/**
 * Mean over samples of e(student) where e(student) + m > e(teacher), else 0, with e the mean over a sample's outputs of
 * (y - t)² (Chen et al. 2017, section 3.3). Their whole loss is `huber` and this with the weight ν = 0.5.
 */
export const teacherBound = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('teacher-bound')
      .describe(
        "Squared error to the target values, of those samples alone that the student does not predict better than the teacher. The paper's ν is the weight.",
      ),
    weight,
    margin: z
      .number()
      .min(0)
      .default(0)
      .describe('By how much, in mean squared error, the student must be better to be let off.'),
  }),
  comparesWith: ['values', 'teacher'],
  write(g, { predictions, values, teacher, batch }, { margin }) {
    const student = predictions()
    const wanted = values()
    const error = (outputs: Value) => {
      const difference = g.Sub(outputs, wanted)
      return g.ReduceMean(g.Mul(difference, difference), [1], { keepdims: 1 })
    }
    const own = error(student)
    const theirs = error(g.Reshape(teacher(0), shapeOf(student)))
    const counts = g.Cast(g.Greater(g.Add(own, margin), theirs), { to: float32 })
    return g.Mul(total(g, g.Mul(own, counts)), 1 / batch)
  },
})
