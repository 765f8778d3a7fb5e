// Soft targets (Hinton, Vinyals and Dean 2015).
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, temperature, weight } from '../loss.ts'
import { scaled, times } from './formulas.ts'
import { divergence, logitsOfBoth, meanOfRows } from './rows.ts'

/**
 * T² Σ p (log p - log q), p = softmax(teacher/T), q = softmax(student/T) (Hinton et al. 2015, section 2.1); at each
 * position the word-level distillation of Kim and Rush 2016, section 3.1.
 *
 * Standardised, both logits z become (z - mean z) / σ(z) first, over the classes of a row (Sun et al. 2024, algorithm 1).
 */
export const kl = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('kl')
      .describe(
        "KL divergence from the teacher's softened outputs, times T²; one a sample, or one a position: word-level distillation.",
      ),
    weight,
    temperature: temperature.default(4).describe('Temperature T of both softmaxes.'),
    standardise: z
      .boolean()
      .default(false)
      .describe(
        'Whether both logits lose their mean and scale first, so that the student need not match those.',
      ),
  }),
  comparesWith: ['teacher'],
  write(g, context, { temperature, standardise }) {
    const { student, teacher } = logitsOfBoth(g, context)
    const T = context.number(temperature)
    const rows = standardise
      ? divergence(g, standardised(g, teacher), standardised(g, student), T)
      : divergence(g, teacher, student, T)
    return scaled(g, meanOfRows(g, context, rows), times(g, T, T))
  },
})

/** (z - mean z) / σ(z) of each row, σ the standard deviation of the population. */
function standardised(g: Builder, logits: Value): Value {
  const mean = (value: Value) => g.ReduceMean(value, [-1], { keepdims: 1 })
  const centred = g.Sub(logits, mean(logits))
  // Where all logits of a row are equal there is no scale; from 0.01 on it is exact, and the gradient finite below.
  return g.Div(centred, g.Sqrt(g.Max(mean(g.Mul(centred, centred)), 1e-4)))
}
