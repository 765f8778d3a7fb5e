// The few expressions that many losses are made of.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'

/** ONNX's number of the type float32. */
export const float32 = 1

/** Σ over everything, a scalar. */
export const total = (g: Builder, value: Value): Value => g.ReduceSum(value, { keepdims: 0 })

/** Σ x², a scalar. */
export const squares = (g: Builder, value: Value): Value => total(g, g.Mul(value, value))

/** 1 for each row of targets that counts, 0 for one of zeros: `[rows, 1]`. */
export const counting = (g: Builder, targets: Value): Value =>
  g.ReduceSum(targets, [1], { keepdims: 1 })

/** The divisor of a mean over what may be nothing. */
export const atLeastOne = (g: Builder, count: Value): Value => g.Max(count, 1)

/** The cosine of vectors along the last axis, which stays with length 1; finite, with its gradient, for zeros too. */
export function cosine(g: Builder, one: Value, other: Value): Value {
  const along = (a: Value, b: Value) => g.ReduceSum(g.Mul(a, b), [-1], { keepdims: 1 })
  const length = (value: Value) => g.Sqrt(g.Add(along(value, value), 1e-8))
  return g.Div(along(one, other), g.Mul(length(one), length(other)))
}

/** a · b, of which either may be a plain number. */
export const times = (g: Builder, a: Value | number, b: Value | number): Value | number =>
  typeof a === 'number' && typeof b === 'number' ? a * b : g.Mul(a, b)

/** value / divisor, as one product where the divisor is a plain number. */
export const over = (g: Builder, value: Value, divisor: Value | number): Value =>
  typeof divisor === 'number'
    ? divisor === 1
      ? value
      : g.Mul(value, 1 / divisor)
    : g.Div(value, divisor)

/** value · factor, the value itself where the factor is 1. */
export const scaled = (g: Builder, value: Value, factor: Value | number): Value =>
  factor === 1 ? value : g.Mul(value, factor)

/** 1 at the largest number of each row `[rows, width]`, at the first of equal ones, else 0; no gradient passes. */
export function largest(g: Builder, rows: Value, width: number): Value {
  const [place] = g.node('ArgMax', [rows], { attributes: { axis: 1, keepdims: 1 } })
  return oneHot(g, place!, width)
}

/** 1 where the class of a row, int64 `[rows, 1]`, is, else 0, as float32 `[rows, width]`; zeros where it is none. */
export function oneHot(g: Builder, classes: Value, width: number): Value {
  const all = Array.from({ length: width }, (_, index) => index)
  return g.Cast(g.Equal(classes, all), { to: float32 })
}
