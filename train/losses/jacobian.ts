// Gradients by the input: the student is to change with its input as the teacher does.
import { z } from 'zod'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { defineLoss, weight } from '../loss.ts'
import { floatInput } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { largest, scaled, total } from './formulas.ts'

/**
 * ‖∇s/‖∇s‖ - ∇t/‖∇t‖‖² (Srinivas and Fleuret 2018, equation 5), ∇ the gradient by the input of the logit that is the
 * teacher's largest one; or ‖∇s - ∇t‖² as it is (Czarnecki et al. 2017, equation 1). A sequence has the sum over its
 * positions' logits.
 *
 * The length of the student's gradient is taken to be at least a ten-thousandth of the teacher's, which keeps the second
 * derivative finite for a student that does not depend on its input yet.
 */
export const jacobian = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('jacobian')
      .describe("Squared distance of the student's input gradient to the teacher's."),
    weight,
    normalise: z
      .boolean()
      .default(true)
      .describe('Whether only the directions of the gradients are compared, not their lengths.'),
  }),
  comparesWith: ['teacher', 'teacher gradient'],
  async write(g, context, { normalise }) {
    const { batch, positions, inputs, where } = context
    const logits = context.logits()
    const [rows, width] = shapeOf(logits) as readonly [number, number]
    const said = g.Reshape(context.teacher(0), [rows, width])
    const input = floatInput(inputs, where)
    const size = sizeOf(shapeOf(input)) / batch
    const scalar = total(g, g.Mul(logits, largest(g, said, width)))
    const own = g.Reshape(await context.gradient(scalar, input), [batch, size])
    const theirs = g.Reshape(context.teacherGradient(), [batch, size])
    const along = (value: Value) => g.ReduceSum(g.Mul(value, value), [1], { keepdims: 1 })
    const distance = () => {
      if (!normalise) return g.Sub(own, theirs)
      const square = along(theirs)
      const length = (squares: Value) => g.Sqrt(g.Add(squares, tiny))
      const ownLength = length(g.Add(along(own), g.Mul(square, shortest ** 2)))
      return g.Sub(g.Div(own, ownLength), g.Div(theirs, length(square)))
    }
    const counts = context.importance()
    const important = counts && g.ReduceMean(g.Reshape(counts, [batch, positions()]), [1])
    return g.Mul(total(g, scaled(g, along(distance()), important ?? 1)), 1 / batch)
  },
})

/** The least length of the student's gradient, as a share of the teacher's. */
const shortest = 1e-4

/** Keeps the length of no gradient at all from being zero; gradients by pixels of 0..255 are small themselves. */
const tiny = 1e-30
