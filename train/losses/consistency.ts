// Consistency: the answer for a disturbed input is to be that for the clean one.
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, temperature, weight } from '../loss.ts'
import { floatInput, type LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { over, scaled, squares, times } from './formulas.ts'
import { divergence, meanOfRows } from './rows.ts'

/**
 * The mean of (softmax(s̃) - softmax(t))², s̃ the student's answer for a disturbed input, t the teacher's answer for the
 * clean one, or the student's own (Sajjadi et al. 2016, equation 1; Laine and Aila 2017, algorithm 1, where a gradient
 * passes through both); or T² KL(t ‖ s̃), or the mean of (s̃ - t)² for answers that are no classes.
 */
export const consistency = defineLoss({
  options: z
    .strictObject({
      loss: z
        .literal('consistency')
        .describe('How far the answer for a disturbed input is from that for the clean one.'),
      weight,
      target: z
        .enum(['teacher', 'self'])
        .default('teacher')
        .describe(
          "Whose answer for the clean input is right: the teacher's, or the student's own.",
        ),
      distance: z
        .enum(['probabilities', 'kl', 'outputs'])
        .default('probabilities')
        .describe('What is compared: squares of probabilities, KL divergence, squares of outputs.'),
      temperature: temperature
        .default(1)
        .describe('Temperature T of both softmaxes; not for outputs.'),
      noise: z
        .number()
        .min(0)
        .default(0.15)
        .describe(
          'Standard deviation of the normal noise on inputs of numbers, in their own units.',
        ),
      drop: z
        .number()
        .min(0)
        .lt(1)
        .default(0)
        .describe('Share of the cells of these inputs that are set to 0.'),
    })
    .refine(
      ({ distance, temperature: T }) => distance !== 'outputs' || T === 1,
      "temperature is for distances of probabilities, not for 'outputs'",
    ),
  comparesWith: ({ target }) => (target === 'teacher' ? ['teacher'] : []),
  write(g, context, { target, distance, temperature: T, noise, drop }) {
    const { inputs, outputs, where } = context
    const clean = outputs[0]!
    // A model without inputs of numbers is refused.
    floatInput(inputs, where)
    const disturbed = new Map(
      inputs
        .filter(({ type }) => type?.dtype === 'float32')
        .map((input) => [input, disturb(g, context, input, { noise, drop })] as const),
    )
    const own = context.again(disturbed, [clean])[0]!
    const right = target === 'teacher' ? context.teacher(0) : clean
    if (distance === 'outputs') {
      const count = shapeOf(clean).reduce((product, dim) => product * dim, 1)
      return g.Mul(squares(g, g.Sub(own, g.Reshape(right, shapeOf(clean)))), 1 / count)
    }
    const shape = shapeOf(context.logits())
    const heat = context.number(T)
    const [student, taught] = [own, right].map((value) => g.Reshape(value, shape))
    if (distance === 'kl') {
      const rows = divergence(g, taught!, student!, heat)
      return scaled(g, meanOfRows(g, context, rows), times(g, heat, heat))
    }
    const share = (value: Value) => g.Softmax(over(g, value, heat), { axis: -1 })
    const apart = g.Sub(share(student!), share(taught!))
    return g.Mul(meanOfRows(g, context, g.Mul(apart, apart)), 1 / shape[1]!)
  },
})

/** An input with noise on it and some of its cells zero. */
function disturb(
  g: Builder,
  context: LossContext,
  input: Value,
  { noise, drop }: { readonly noise: number; readonly drop: number },
): Value {
  const shape = shapeOf(input)
  const noisy =
    noise === 0 ? input : g.Add(input, g.Mul(context.drawn(shape, { kind: 'normal' }), noise))
  if (drop === 0) return noisy
  // Cells that stay are as they were, not larger.
  const mask = context.drawn(shape, { kind: 'dropout', ratio: drop })
  return g.Mul(noisy, g.Mul(mask, 1 - drop))
}
