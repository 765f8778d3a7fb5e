// Sequence-level distillation (Kim and Rush 2016): the teacher's most probable answer as if it were the label.
import { z } from 'zod'
import { defineLoss, weight } from '../loss.ts'
import { atLargest, logitsOfBoth, meanOfRows } from './rows.ts'

/**
 * -log q(ŷ), q = softmax(student), ŷ the teacher's most probable sequence (Kim and Rush 2016, section 3.2).
 *
 * Outputs of one pass do not depend on each other given the input, so that the most probable sequence is that of the most
 * probable labels. Labels that are equally probable share the target. For one label a sample it is distillation by hard
 * labels.
 */
export const sequence = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('sequence')
      .describe(
        "Cross-entropy with the teacher's most probable sequence: its hard label, one a sample or one a position.",
      ),
    weight,
  }),
  comparesWith: ['teacher'],
  write(g, context) {
    const { student, teacher } = logitsOfBoth(g, context)
    const largest = atLargest(g, teacher)
    const labels = g.Div(largest, g.ReduceSum(largest, [-1], { keepdims: 1 }))
    return g.Neg(meanOfRows(g, context, g.Mul(labels, g.LogSoftmax(student, { axis: -1 }))))
  },
})
