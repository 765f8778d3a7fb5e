// Reference evaluators of operators that move, repeat, leave out or add up elements.
import type { Attributes } from '../../../onnx/build.ts'
import {
  at,
  axisOf,
  type Evaluator,
  fill,
  listOf,
  type NdArray,
  numberOf,
  numbersOf,
  positions,
  required,
  sizeOf,
} from './nd.ts'

/** The same elements in a shape. */
const reshaping =
  (
    shape: (
      dims: readonly number[],
      given: readonly number[] | undefined,
      attributes: Attributes,
    ) => readonly number[],
  ): Evaluator =>
  ([x, given], attributes) => {
    const { dims, data } = required(x)
    return { dims: shape(dims, listOf(given), attributes), data }
  }

const reshape = reshaping((dims, given = [], attributes) => {
  const zeros = numberOf(attributes, 'allowzero', 0) === 1
  const copied = given.map((dim, axis) => (dim === 0 && !zeros ? dims[axis]! : dim))
  const known = sizeOf(copied.filter((dim) => dim !== -1))
  return copied.map((dim) => (dim === -1 ? sizeOf(dims) / known : dim))
})

const flatten = reshaping((dims, _, attributes) => {
  const axis = axisOf(numberOf(attributes, 'axis', 1), dims.length)
  return [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))]
})

const squeeze = reshaping((dims, given) => {
  const axes = given?.map((axis) => axisOf(axis, dims.length))
  return dims.filter((dim, axis) => (axes ? !axes.includes(axis) : dim !== 1))
})

const unsqueeze = reshaping((dims, given = []) => {
  const rank = dims.length + given.length
  const axes = given.map((axis) => axisOf(axis, rank))
  const rest = dims.values()
  return Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : rest.next().value!))
})

const transpose: Evaluator = ([input], attributes) => {
  const x = required(input)
  const perm = numbersOf(attributes, 'perm', [...x.dims.keys()].reverse())
  return fill(
    perm.map((axis) => x.dims[axis]!),
    (position) =>
      at(
        x,
        perm.map((_, axis) => position[perm.indexOf(axis)]!),
      ),
  )
}

const concat: Evaluator = (inputs, attributes) => {
  const parts = inputs.map(required)
  const { dims } = required(parts[0])
  const axis = axisOf(numberOf(attributes, 'axis', 0), dims.length)
  const starts = parts.map((_, index) =>
    parts.slice(0, index).reduce((sum, part) => sum + part.dims[axis]!, 0),
  )
  const total = parts.reduce((sum, part) => sum + part.dims[axis]!, 0)
  return fill(dims.with(axis, total), (position) => {
    const index = starts.findLastIndex((start) => start <= position[axis]!)
    return at(parts[index]!, position.with(axis, position[axis]! - starts[index]!))
  })
}

const slice: Evaluator = ([input, starts, ends, axes, steps]) => {
  const x = required(input)
  const from = listOf(starts)!
  // Per axis: the positions that are taken.
  const taken = x.dims.map((dim) => Array.from({ length: dim }, (_, index) => index))
  for (const [index, given] of (listOf(axes) ?? [...from.keys()]).entries()) {
    const axis = axisOf(given, x.dims.length)
    taken[axis] = range(x.dims[axis]!, from[index]!, listOf(ends)![index]!, listOf(steps)?.[index])
  }
  return fill(
    taken.map((list) => list.length),
    (position) =>
      at(
        x,
        position.map((index, axis) => taken[axis]![index]!),
      ),
  )
}

/** Python's range(size)[start:end:step]. */
function range(size: number, start: number, end: number, step = 1): number[] {
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
  const clamped = (index: number) => Math.min(Math.max(index < 0 ? index + size : index, low), high)
  const taken: number[] = []
  const last = clamped(end)
  for (let index = clamped(start); step > 0 ? index < last : index > last; index += step)
    taken.push(index)
  return taken
}

const pad: Evaluator = ([input, pads, value, given], attributes) => {
  const x = required(input)
  const axes = (listOf(given) ?? [...x.dims.keys()]).map((axis) => axisOf(axis, x.dims.length))
  const amounts = listOf(pads)!
  const begin = x.dims.map((_, axis) => amounts[axes.indexOf(axis)] ?? 0)
  const end = x.dims.map((_, axis) =>
    axes.includes(axis) ? amounts[axes.length + axes.indexOf(axis)]! : 0,
  )
  const source = sources[String(attributes.mode ?? 'constant')]!
  return fill(
    x.dims.map((dim, axis) => dim + begin[axis]! + end[axis]!),
    (position) => {
      const cell = position.map((index, axis) => source(index - begin[axis]!, x.dims[axis]!))
      const isInside = cell.every((index, axis) => index >= 0 && index < x.dims[axis]!)
      return isInside ? at(x, cell) : (value?.data[0] ?? 0)
    },
  )
}

/** By mode: which element of an axis of a size stands at a position before, in or behind it. */
const sources: Readonly<Record<string, (index: number, size: number) => number>> = {
  constant: (index) => index,
  edge: (index, size) => Math.min(Math.max(index, 0), size - 1),
  reflect: (index, size) => {
    let cell = index
    while (cell < 0 || cell >= size) cell = cell < 0 ? -cell : 2 * (size - 1) - cell
    return cell
  },
  wrap: (index, size) => ((index % size) + size) % size,
}

/** A sum over axes, divided by `divisor` of the count. */
const reduction =
  (divisor: (count: number) => number): Evaluator =>
  ([input, given], attributes) => {
    const x = required(input)
    const listed = listOf(given) ?? []
    if (listed.length === 0 && numberOf(attributes, 'noop_with_empty_axes', 0)) return x
    const axes = listed.length
      ? listed.map((axis) => axisOf(axis, x.dims.length))
      : [...x.dims.keys()]
    const reduced = x.dims.filter((_, axis) => axes.includes(axis))
    const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    const inner = positions(x.dims.map((dim, axis) => (axes.includes(axis) ? dim : 1)))
    const sums: NdArray = fill(kept, (position) =>
      inner.reduce(
        (sum, place) =>
          sum +
          at(
            x,
            position.map((index, axis) => index + place[axis]!),
          ),
        0,
      ),
    )
    const dims = numberOf(attributes, 'keepdims', 1)
      ? kept
      : x.dims.filter((_, axis) => !axes.includes(axis))
    const share = 1 / divisor(sizeOf(reduced))
    return { dims, data: sums.data.map((sum) => sum * share) }
  }

/** Evaluators by operator. */
export const movement: Readonly<Record<string, Evaluator>> = {
  Concat: concat,
  Flatten: flatten,
  Pad: pad,
  ReduceMean: reduction((count) => count),
  ReduceSum: reduction(() => 1),
  Reshape: reshape,
  Slice: slice,
  Squeeze: squeeze,
  Transpose: transpose,
  Unsqueeze: unsqueeze,
}
