// Rows of logits, one a sample or one a position: which of them count, and the divergence of two.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { atLeastOne, counting, float32, over, scaled, total } from './formulas.ts'

/** The student's logits and the teacher's, of one shape `[rows, classes]`. */
export function logitsOfBoth(
  g: Builder,
  { logits, teacher }: LossContext,
): { readonly student: Value; readonly teacher: Value } {
  const student = logits()
  return { student, teacher: g.Reshape(teacher(0), shapeOf(student)) }
}

/** 1 for each row that a teacher's answer counts for, else 0: `[rows, 1]`; undefined where all of them do. */
export function taughtRows(
  g: Builder,
  { positions, labelled, targets }: LossContext,
): Value | undefined {
  // A sample without a label has an answer of the teacher; a position that does not count has none.
  return positions() === 1 || !labelled ? undefined : counting(g, targets())
}

/** The sum of values, `[rows, classes]` or `[rows, 1]`, of the rows that count over their number. */
export function meanOfRows(g: Builder, context: LossContext, values: Value): Value {
  const { positions, batch, importance } = context
  const weighted = scaled(g, values, importance() ?? 1)
  const counts = taughtRows(g, context)
  if (!counts) return g.Mul(total(g, weighted), 1 / (batch * positions()))
  return g.Div(total(g, g.Mul(weighted, counts)), atLeastOne(g, total(g, counts)))
}

/** The same over the rows that have a label, of values that are 0 in all others. */
export function meanOfLabelledRows(g: Builder, context: LossContext, values: Value): Value {
  const { positions, batch, importance, targets, unlabelled } = context
  const sum = total(g, scaled(g, values, importance() ?? 1))
  return positions() > 1 || unlabelled
    ? g.Div(sum, atLeastOne(g, total(g, targets())))
    : g.Mul(sum, 1 / batch)
}

/** p (log p - log q), p = softmax(teacher/T), q = softmax(student/T): of the shape of the logits. */
export function divergence(
  g: Builder,
  teacher: Value,
  student: Value,
  temperature: Value | number,
): Value {
  const taught = g.LogSoftmax(over(g, teacher, temperature), { axis: -1 })
  const own = g.LogSoftmax(over(g, student, temperature), { axis: -1 })
  return g.Mul(g.Exp(taught), g.Sub(taught, own))
}

/** 1 where a row is at its largest, else 0; several ones where several are equal. */
export const atLargest = (g: Builder, rows: Value): Value =>
  g.Cast(g.Equal(rows, g.ReduceMax(rows, [-1], { keepdims: 1 })), { to: float32 })
