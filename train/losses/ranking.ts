// Distillation of rankings: the teacher's order of the candidates of a group, or of the classes of a sample.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { defineLoss, temperature, weight } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { float32, scaled, times, total } from './formulas.ts'
import { divergence, logitsOfBoth, meanOfRows } from './rows.ts'

/**
 * T² KL(softmax(teacher/T) || softmax(student/T)) over the scores of a list: ListNet with the teacher's scores as the
 * truth (Cao et al. 2007, with top one probabilities), less the teacher's entropy, so that 0 is reached.
 */
export const listwise = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('listwise')
      .describe(
        "KL divergence from the teacher's scores of a group of candidates (without groups: of the classes), softened, times T².",
      ),
    weight,
    temperature: temperature.default(1).describe('Temperature T of both softmaxes.'),
  }),
  comparesWith: ['teacher'],
  binary: (group) => group > 1,
  write(g, context, { temperature }) {
    const { student, teacher, mean } = listsOf(g, context, 'listwise')
    const T = context.number(temperature)
    return scaled(g, mean(divergence(g, teacher, student, T)), times(g, T, T))
  },
})

/**
 * -Σ over r = 1 … K of w_r log σ(student's score of the teacher's r-th), w_r ∝ exp(-r/λ) with sum 1 (Tang and Wang 2018,
 * weights by position).
 *
 * With a discrepancy μ above 0 the weights are ∝ exp(-r/λ) tanh(max(μ (r̂ - r), 0)), r̂ the student's own rank of it
 * (their hybrid weights, with the rank counted, not estimated): what the student has in its place already does not count.
 */
export const rank = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('rank')
      .describe(
        "Ranking distillation: the first of the teacher's list (a group of candidates, else the classes) are to score high, the sooner they come the more.",
      ),
    weight,
    top: z.int().min(1).default(10).describe("How many of the teacher's list count: K."),
    sharpness: z
      .number()
      .positive()
      .default(1)
      .describe('λ: how slowly the weight falls from place to place.'),
    discrepancy: z
      .number()
      .min(0)
      .default(0)
      .describe(
        'μ: above 0 only what the student ranks too low counts, the further the more; 0.1 in the paper, after a first phase with 0.',
      ),
  }),
  comparesWith: ['teacher'],
  binary: (group) => group > 1,
  write(g, context, { top, sharpness, discrepancy }) {
    const { student, teacher, mean } = listsOf(g, context, 'rank')
    const [lists, length] = shapeOf(student) as [number, number]
    if (top >= length)
      throw new UserError(
        `${context.where}: 'rank' needs lists longer than its top: top ${top} of lists of ${length} — use a top of ${length - 1} or less`,
      )
    const [, places] = g.node('TopK', [teacher, [top]], { outputs: 2 })
    const scores = g.GatherElements(student, places, { axis: -1 })
    const position = Array.from({ length: top }, (_, place) => Math.exp(-(place + 1) / sharpness))
    const sum = position.reduce((before, each) => before + each, 0)
    const shares = tensorOf(
      'float32',
      [1, top],
      position.map((each) => each / sum),
    )
    const lost = g.Softplus(g.Neg(scores))
    if (discrepancy === 0) return mean(g.Mul(lost, shares))
    const better = g.Greater(
      g.Reshape(student, [lists, 1, length]),
      g.Reshape(scores, [lists, top, 1]),
    )
    // How many places too low: the student's rank less the teacher's, both from 0.
    const ahead = g.ReduceSum(g.Cast(better, { to: float32 }), [-1], { keepdims: 0 })
    const ranks = tensorOf(
      'float32',
      [1, top],
      position.map((_, place) => place),
    )
    const apart = g.Tanh(g.Mul(g.Max(g.Sub(ahead, ranks), 0), discrepancy))
    const weights = g.Mul(apart, shares)
    const all = g.ReduceSum(weights, [-1], { keepdims: 1 })
    return mean(g.Mul(lost, context.detach(g.Div(weights, g.Max(all, 1e-12)))))
  },
})

/** The scores of the lists, `[lists, length]`, and the mean over lists of values of them. */
function listsOf(g: Builder, context: LossContext, name: string) {
  const { group, batch, predictions, binaryLogits, teacher, where } = context
  if (group === 1)
    return { ...logitsOfBoth(g, context), mean: (rows: Value) => meanOfRows(g, context, rows) }
  if (batch % group !== 0 || shapeOf(predictions())[1] !== 1)
    throw new UserError(
      `${where}: '${name}' takes one score for each of a group's candidates: groups of ${group}, a batch of ${batch}, ${shapeOf(predictions())[1]} outputs — use 'kl-binary', or whole groups`,
    )
  const lists = batch / group
  const shape = [lists, group]
  const student = g.Reshape(binaryLogits(), shape)
  student.type = { dtype: 'float32', shape }
  return {
    student,
    teacher: g.Reshape(teacher(0), shape),
    mean: (rows: Value) => g.Mul(total(g, rows), 1 / lists),
  }
}
