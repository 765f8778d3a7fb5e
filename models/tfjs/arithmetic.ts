// Element by element: operations of one and two operands, reductions, products of matrices.
import type { Attributes } from '../../onnx/build.ts'
import type { Dim } from '../../onnx/graph.ts'
import { broadcastShape, range, type Term } from './term.ts'
import { scalar, type Writer } from './writer.ts'

/** An operation of one operand. */
export const unary = (w: Writer, opType: string, x: Term, attributes: Attributes = {}): Term =>
  w.emit(opType, [x], { dtype: x.dtype, shape: x.shape }, { attributes })

/** An operation of two operands of one type that broadcast; a number is a scalar of the other's type. */
export function binary(w: Writer, opType: string, a: Term | number, b: Term | number): Term {
  const like = typeof a === 'number' ? (b as Term) : a
  const [left, right] = [a, b].map((each) =>
    typeof each === 'number' ? scalar(w, like, each) : each,
  ) as [Term, Term]
  const shape = broadcastShape(left.shape, right.shape)
  return w.emit(opType, [left, right], { dtype: like.dtype, shape })
}

/** A comparison of two operands that broadcast. */
export const compare = (w: Writer, opType: string, a: Term, b: Term): Term =>
  w.emit(opType, [a, b], { dtype: 'bool', shape: broadcastShape(a.shape, b.shape) })

/** Limits to a range; either end may be left out. */
export const clip = (w: Writer, x: Term, low: number | undefined, high?: number): Term =>
  w.emit('Clip', [x, low, high], { dtype: x.dtype, shape: x.shape })

/** Reduces axes (counted from the front; all unless told). */
export function reduce(
  w: Writer,
  opType: string,
  x: Term,
  axes: readonly number[] = range(x.shape.length),
  keep = false,
): Term {
  const shape = x.shape.flatMap((dim, axis): Dim[] =>
    axes.includes(axis) ? (keep ? [1] : []) : [dim],
  )
  // Without axes the operators reduce all of them, TensorFlow none.
  if (axes.length === 0) return x
  return w.emit(
    opType,
    [x, axes],
    { dtype: x.dtype, shape },
    {
      attributes: { keepdims: keep ? 1 : 0 },
    },
  )
}

/** The product of matrices in the last two axes. */
export function matMul(w: Writer, a: Term, b: Term, name?: string): Term {
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2))
  const shape = [...batch, a.shape.at(-2), b.shape.at(-1)]
  return w.emit('MatMul', [a, b], { dtype: a.dtype, shape }, { name })
}

/** `x w + b` over the last axis; one Gemm for matrices. */
export function linear(w: Writer, x: Term, weight: Term, bias?: Term, name?: string): Term {
  if (x.shape.length === 2 && bias)
    return w.emit(
      'Gemm',
      [x, weight, bias],
      { dtype: x.dtype, shape: [x.shape[0], weight.shape[1]] },
      { name },
    )
  const product = matMul(w, x, weight, name)
  return bias ? binary(w, 'Add', product, bias) : product
}
