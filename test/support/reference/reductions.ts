// Reference evaluators of what makes one number of several: reductions over axes, and extremes of several inputs.
import {
  at,
  axisOf,
  broadcastAt,
  broadcastDims,
  type Evaluator,
  fill,
  listOf,
  numberOf,
  positions,
  required,
} from './nd.ts'

/** A reduction over axes. */
const reduction =
  (reduce: (values: readonly number[]) => number): Evaluator =>
  ([input, given], attributes) => {
    const x = required(input)
    const listed = listOf(given) ?? []
    const none = numberOf(attributes, 'noop_with_empty_axes', 0) !== 0
    const axes =
      listed.length || none ? listed.map((axis) => axisOf(axis, x.dims.length)) : [...x.dims.keys()]
    const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    const inner = positions(x.dims.map((dim, axis) => (axes.includes(axis) ? dim : 1)))
    const { data } = fill(kept, (position) =>
      reduce(
        inner.map((place) =>
          at(
            x,
            position.map((index, axis) => index + place[axis]!),
          ),
        ),
      ),
    )
    const dims = numberOf(attributes, 'keepdims', 1)
      ? kept
      : x.dims.filter((_, axis) => !axes.includes(axis))
    return { dims, data }
  }

/** One number of the elements of any number of inputs that stand at the same position. */
const combination =
  (combine: (values: readonly number[]) => number): Evaluator =>
  (inputs) => {
    const all = inputs.map(required)
    return fill(broadcastDims(...all.map(({ dims }) => dims)), (position) =>
      combine(all.map((array) => broadcastAt(array, position))),
    )
  }

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const sumOf =
  (f: (x: number) => number) =>
  (values: readonly number[]): number =>
    sum(values.map(f))

/** Evaluators by operator. */
export const reductions: Readonly<Record<string, Evaluator>> = {
  Max: combination((values) => Math.max(...values)),
  Mean: combination((values) => sum(values) / values.length),
  Min: combination((values) => Math.min(...values)),
  Mod: combination(([a, b]) => a! % b!),
  ReduceL1: reduction(sumOf(Math.abs)),
  ReduceL2: reduction((values) => Math.sqrt(sumOf((x) => x * x)(values))),
  ReduceLogSum: reduction((values) => Math.log(sum(values))),
  ReduceLogSumExp: reduction((values) => Math.log(sumOf(Math.exp)(values))),
  ReduceMax: reduction((values) => Math.max(...values)),
  ReduceMin: reduction((values) => Math.min(...values)),
  ReduceProd: reduction((values) => values.reduce((product, value) => product * value, 1)),
  ReduceSumSquare: reduction(sumOf((x) => x * x)),
  Sum: combination(sum),
}
