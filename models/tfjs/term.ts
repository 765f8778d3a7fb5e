// What both converters work with: a value of the graph being written, with what is known of it beforehand.
import type { Dim, Value } from '../../onnx/graph.ts'
import type { DataType } from '../../onnx/tensor.ts'

/** A value and its type; the rank is always known, a dimension may be a number, a symbol or unknown. */
export interface Term {
  readonly value: Value
  readonly dtype: DataType
  readonly shape: readonly Dim[]
  /**
   * The elements of a small int32 tensor, row-major, as far as they are known beforehand: shapes and what is computed
   * from them. A symbol is the size of that dimension.
   */
  readonly content?: readonly Dim[] | undefined
}

/** The size of an axis of two operands that broadcast. */
export function broadcastDim(a: Dim, b: Dim): Dim {
  if (a === b || b === 1) return a
  if (a === 1 || typeof b === 'number') return b
  return typeof a === 'number' ? a : undefined
}

/** The shape of the result of an operation that broadcasts its operands. */
export function broadcastShape(...shapes: readonly (readonly Dim[])[]): Dim[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length))
  return Array.from({ length: rank }, (_, axis) =>
    shapes.reduce<Dim>((dim, shape) => {
      const own = axis - rank + shape.length
      return own < 0 ? dim : broadcastDim(dim, shape[own])
    }, 1),
  )
}

/** The product of dimensions; unknown where one of several factors is no number. */
export function productOf(dims: readonly Dim[]): Dim {
  const others = dims.filter((dim) => dim !== 1)
  if (others.length === 1) return others[0]
  return others.reduce<Dim>(
    (product, dim) =>
      typeof product === 'number' && typeof dim === 'number' ? product * dim : undefined,
    1,
  )
}

/** Whether every dimension is a number. */
export const isFixed = (dims: readonly Dim[]): dims is readonly number[] =>
  dims.every((dim) => typeof dim === 'number')

/** An axis counted from the front, where a negative one counts from the back. */
export const axisFromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

/** A shape as messages show it. */
export const shapeText = (shape: readonly Dim[]): string =>
  `[${shape.map((dim) => dim ?? '?').join(',')}]`

/** The numbers 0 to n - 1. */
export const range = (length: number): number[] => Array.from({ length }, (_, index) => index)
