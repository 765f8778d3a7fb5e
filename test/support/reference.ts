// The operators once more, in plain JavaScript and float64, written from ONNX's definitions alone: what ONNX Runtime's
// results and our gradients are held against.
import { elementwise } from './reference/elementwise.ts'
import { movement } from './reference/movement.ts'
import type { Evaluator } from './reference/nd.ts'
import { products } from './reference/product.ts'
import { windows } from './reference/window.ts'

/** Evaluators by operator of the standard domain, for opset 21. */
export const reference: Readonly<Record<string, Evaluator>> = {
  ...elementwise,
  ...movement,
  ...products,
  ...windows,
}

/** The gradient of a scalar function of an array by central differences, step 1e-5: exact to about 1e-9. */
export function differences(f: (x: Float64Array) => number, x: Float64Array): Float64Array {
  const h = 1e-5
  return x.map((value, index) => {
    const above = f(x.with(index, value + h))
    const below = f(x.with(index, value - h))
    return (above - below) / (2 * h)
  })
}

/** The distance of two vectors as a share of the second one's length. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let [apart, length] = [0, 0]
  for (let index = 0; index < expected.length; index++) {
    apart += (actual[index]! - expected[index]!) ** 2
    length += expected[index]! ** 2
  }
  const error = Math.sqrt(apart / (length || 1))
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error
}
