// Distillation from a stronger teacher (Huang, You, Wang, Qian and Xu 2022).
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, temperature, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { atLeastOne, over, scaled, times, total } from './formulas.ts'
import { logitsOfBoth, meanOfRows, taughtRows } from './rows.ts'

/**
 * T² (β mean over samples of 1 - ρ(s, t) + γ mean over classes of 1 - ρ(s, t)), ρ Pearson's correlation of the
 * probabilities softmax(z/T): of a sample over the classes, of a class over the samples of the batch (Huang et al. 2022,
 * section 4; the factor T² is that of the authors' code).
 *
 * Hard examples count more among the samples; the correlation of a class takes all samples alike. Within a batch of one
 * sample no class varies: that part is then constant.
 */
export const dist = defineLoss({
  options: z
    .strictObject({
      loss: z
        .literal('dist')
        .describe(
          "1 - correlation with the teacher's probabilities, within each sample and within each class of the batch, times T².",
        ),
      weight,
      beta: z.number().min(0).default(2).describe('Weight of the correlations within samples.'),
      gamma: z
        .number()
        .min(0)
        .default(2)
        .describe('Weight of the correlations within classes, over the batch.'),
      temperature: temperature.default(1).describe('Temperature T of both softmaxes.'),
    })
    .refine(({ beta, gamma }) => beta + gamma > 0, 'beta and gamma must not both be 0'),
  comparesWith: ['teacher'],
  write(g, context, { beta, gamma, temperature }) {
    const both = logitsOfBoth(g, context)
    const classes = shapeOf(both.student)[1]!
    const T = context.number(temperature)
    const soft = (logits: Value) => g.Softmax(over(g, logits, T), { axis: -1 })
    const [student, teacher] = [soft(both.student), soft(both.teacher)]
    // Probabilities sum to 1, so that the mean over the classes is known.
    const within = (value: Value) => g.Sub(value, 1 / classes)
    const samples = g.Sub(1, correlation(g, within(student), within(teacher), -1))
    const counts = taughtRows(g, context)
    const among = (value: Value) => {
      if (!counts) return g.Sub(value, g.ReduceMean(value, [0], { keepdims: 1 }))
      const sum = g.ReduceSum(g.Mul(value, counts), [0], { keepdims: 1 })
      return g.Mul(counts, g.Sub(value, g.Div(sum, atLeastOne(g, total(g, counts)))))
    }
    const ofClasses = correlation(g, among(student), among(teacher), 0)
    const inter = meanOfRows(g, context, samples)
    const intra = g.Sub(1, g.Mul(total(g, ofClasses), 1 / classes))
    const sum = g.Add(scaled(g, inter, beta), scaled(g, intra, gamma))
    return scaled(g, sum, times(g, T, T))
  },
})

/** The cosine of centred values along an axis; 0, with a finite gradient, where one of them does not vary. */
function correlation(g: Builder, one: Value, other: Value, axis: number): Value {
  const along = (a: Value, b: Value) => g.ReduceSum(g.Mul(a, b), [axis], { keepdims: 1 })
  const length = (value: Value) => g.Sqrt(g.Max(along(value, value), 1e-10))
  return g.Div(along(one, other), g.Mul(length(one), length(other)))
}
