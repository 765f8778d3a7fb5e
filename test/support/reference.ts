// The operators once more, in plain JavaScript and float64, written from ONNX's definitions alone: what ONNX Runtime's
// results and our gradients are held against.
import { activations } from './reference/activations.ts'
import { arrangement } from './reference/arrangement.ts'
import { attentions } from './reference/attention.ts'
import { einsum } from './reference/einsum.ts'
import { elementwise } from './reference/elementwise.ts'
import { indexing } from './reference/indexing.ts'
import { lossOperators } from './reference/losses.ts'
import { movement } from './reference/movement.ts'
import type { Evaluator } from './reference/nd.ts'
import { normalizations } from './reference/normalization.ts'
import { products } from './reference/product.ts'
import { quantizations } from './reference/quantization.ts'
import { recurrents } from './reference/recurrent.ts'
import { reductions } from './reference/reductions.ts'
import { sampling } from './reference/sampling.ts'
import { windows } from './reference/window.ts'

/** Evaluators by operator, for opset 21 and newer. */
export const reference: Readonly<Record<string, Evaluator>> = {
  ...activations,
  ...arrangement,
  ...einsum,
  ...indexing,
  ...lossOperators,
  ...sampling,
  ...attentions,
  ...elementwise,
  ...movement,
  ...normalizations,
  ...products,
  ...quantizations,
  ...recurrents,
  ...reductions,
  ...windows,
}

/**
 * The gradient of a scalar function of an array, at all of its places or at some, by central differences, step 1e-5:
 * exact to about 1e-9.
 */
export function differences(
  f: (x: Float64Array) => number,
  x: Float64Array,
  places: readonly number[] = [...x.keys()],
): Float64Array {
  const h = 1e-5
  return Float64Array.from(places, (index) => {
    const above = f(x.with(index, x[index]! + h))
    const below = f(x.with(index, x[index]! - h))
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
