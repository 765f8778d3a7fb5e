// Decoupled knowledge distillation (Zhao, Cui, Song, Qiu and Liang 2022).
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, temperature, weight } from '../loss.ts'
import { counting, over, scaled, times } from './formulas.ts'
import { atLargest, logitsOfBoth, meanOfRows } from './rows.ts'

/**
 * T² (α KL(b(teacher) || b(student)) + β KL(p̂(teacher) || p̂(student))) (Zhao et al. 2022, equation 7): b are the
 * probabilities of the label and of all the rest, p̂ those of the other classes among themselves.
 *
 * The label of a mixture is its largest share, that of a sample without a label the teacher's most probable class;
 * where several are equally large they are the label together. Positions without a label do not count.
 */
export const dkd = defineLoss({
  options: z
    .strictObject({
      loss: z
        .literal('dkd')
        .describe(
          "Decoupled distillation: the teacher's sureness of the label, and apart from it what it says of the other classes; times T². Without a label the teacher's most probable class stands for it.",
        ),
      weight,
      alpha: z.number().min(0).default(1).describe('Weight of the label against all the rest.'),
      beta: z.number().min(0).default(8).describe('Weight of the other classes among themselves.'),
      temperature: temperature.default(4).describe('Temperature T of all softmaxes.'),
    })
    .refine(({ alpha, beta }) => alpha + beta > 0, 'alpha and beta must not both be 0'),
  comparesWith: ['labels', 'teacher'],
  write(g, context, { alpha, beta, temperature }) {
    const { student, teacher } = logitsOfBoth(g, context)
    const T = context.number(temperature)
    const label = atLargest(g, labelsOf(g, teacher, context.targets()))
    const rest = g.Sub(1, label)
    const own = decoupled(g, over(g, student, T), label, rest)
    const theirs = decoupled(g, over(g, teacher, T), label, rest)
    const yes = g.Sub(g.Softplus(g.Neg(own.odds)), g.Softplus(g.Neg(theirs.odds)))
    const no = g.Sub(g.Softplus(own.odds), g.Softplus(theirs.odds))
    const target = g.Add(
      g.Mul(g.Sigmoid(theirs.odds), yes),
      g.Mul(g.Sigmoid(g.Neg(theirs.odds)), no),
    )
    const others = g.ReduceSum(
      g.Mul(g.Exp(theirs.others), g.Sub(theirs.others, own.others)),
      [-1],
      { keepdims: 1 },
    )
    const rows = g.Add(scaled(g, target, alpha), scaled(g, others, beta))
    return scaled(g, meanOfRows(g, context, rows), times(g, T, T))
  },
})

/** The labels, and the teacher's probabilities in rows that have none. */
const labelsOf = (g: Builder, teacher: Value, targets: Value): Value =>
  g.Add(targets, g.Mul(g.Sub(1, g.Min(counting(g, targets), 1)), g.Softmax(teacher, { axis: -1 })))

/** The log odds of the label against all the rest, `[rows, 1]`, and the log probabilities of the rest alone. */
function decoupled(g: Builder, logits: Value, label: Value, rest: Value) {
  // What is masked is constant, whatever its size: exp of it is 0, and no gradient passes.
  const masked = (kept: Value, away: Value) => g.Sub(g.Mul(logits, kept), g.Mul(away, 1e9))
  const sum = (value: Value) => g.ReduceLogSumExp(value, [-1], { keepdims: 1 })
  const others = masked(rest, label)
  const all = sum(others)
  return { odds: g.Sub(sum(masked(label, rest)), all), others: g.Sub(others, all) }
}
