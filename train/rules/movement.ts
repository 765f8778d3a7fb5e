// Gradients of operators that move, repeat or leave out elements.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { axisOf, constantInput, fill, type Rule, shapeOf, unary } from '../rule.ts'

/** Reshape, Flatten, Squeeze, Unsqueeze: the same elements in another shape. */
export const reshaped: Rule = unary(({ g, x, dy }) => g.Reshape(dy, shapeOf(x)))

/** The inverse permutation. */
export const transpose: Rule = unary(({ g, node, x, dy }) => {
  const rank = shapeOf(x).length
  const perm = node.numbers(
    'perm',
    Array.from({ length: rank }, (_, axis) => rank - 1 - axis),
  )
  return g.Transpose(dy, { perm: perm.map((_, axis) => perm.indexOf(axis)) })
})

/** ReduceSum and ReduceMean: every element gets the gradient of its sum, times a factor of the count. */
export const reduce = (factor: (count: number) => number): Rule =>
  unary(({ g, node, x, dy }) => {
    const shape = shapeOf(x)
    const given = constantInput(node, 1)
    if (!given?.length && node.number('noop_with_empty_axes', 0)) return dy
    const axes = new Set(
      given?.length ? given.map((axis) => axisOf(axis, shape.length)) : shape.keys(),
    )
    const kept = shape.map((dim, axis) => (axes.has(axis) ? 1 : dim))
    const scale = factor(sizeOf(shape) / sizeOf(kept))
    const gradient = g.Reshape(dy, kept)
    return fill(g, scale === 1 ? gradient : g.Mul(gradient, scale), shape)
  })

/** Each input gets its own piece. */
export const concat: Rule = {
  gradients: ({ g, node, y, dy }) => {
    const axis = axisOf(node.number('axis', 0), shapeOf(y).length)
    let start = 0
    return node.inputs.map((input) => {
      const size = shapeOf(input!)[axis]!
      const piece = g.Slice(dy, [start], [start + size], [axis])
      start += size
      return piece
    })
  },
}

/** The gradient goes back to where the elements came from; zeros elsewhere. */
export const slice: Rule = unary(({ g, node, x, y, dy }) => {
  const shape = shapeOf(x)
  const starts = constantInput(node, 1)!
  const axes = constantInput(node, 3) ?? [...starts.keys()]
  const steps = constantInput(node, 4) ?? starts.map(() => 1)
  let gradient = dy
  let current = shapeOf(y)
  for (const [index, given] of axes.entries()) {
    const axis = axisOf(given, shape.length)
    const size = shape[axis]!
    gradient = putBack(g, gradient, current, axis, size, starts[index]!, steps[index]!)
    current = current.with(axis, size)
  }
  return gradient
})

/** Puts the elements along an axis back at start, start + step, … of an axis of a size, with zeros between. */
export function putBack(
  g: Builder,
  gradient: Value,
  shape: readonly number[],
  axis: number,
  size: number,
  start: number,
  step: number,
): Value {
  const count = shape[axis]!
  const stride = Math.abs(step)
  // As ONNX clamps it: a negative start counts from the back, and every start stays inside the axis.
  const from = start < 0 ? start + size : start
  const first = Math.min(Math.max(from, 0), step > 0 ? size : size - 1)
  const lowest = step > 0 ? first : first - (count - 1) * stride
  const ascending = step > 0 ? gradient : g.Slice(gradient, [-1], [-1 - 2 ** 31], [axis], [-1])
  const none = new Array<number>(shape.length).fill(0)
  if (stride === 1) {
    if (count === size) return ascending
    return g.Pad(ascending, [...none.with(axis, lowest), ...none.with(axis, size - lowest - count)])
  }
  // A new axis of stride - 1 zeros behind every element, then both axes as one; what is too long is cut.
  const deep = [...none, 0]
  const spread = g.Pad(g.Unsqueeze(ascending, [axis + 1]), [
    ...deep,
    ...deep.with(axis + 1, stride - 1),
  ])
  const merged = g.Reshape(spread, shape.with(axis, count * stride))
  const after = size - lowest - count * stride
  return g.Pad(merged, [...none.with(axis, lowest), ...none.with(axis, after)])
}

/** Pad: what was padded in is cut off; the copies that the other modes make are added to their originals. */
export const pad: Rule = unary(({ g, node, x, dy }) => {
  const shape = shapeOf(x)
  const given = constantInput(node, 1)!
  const axes = (constantInput(node, 3) ?? [...shape.keys()]).map((axis) =>
    axisOf(axis, shape.length),
  )
  const amounts = (list: readonly number[]) =>
    shape.map((_, axis) => (axes.includes(axis) ? list[axes.indexOf(axis)]! : 0))
  const [begin, end] = [amounts(given), amounts(given.slice(axes.length))]
  const mode = node.string('mode', 'constant')
  if (mode === 'constant')
    return g.Pad(
      dy,
      [...begin, ...end].map((amount) => -amount),
    )
  let gradient = dy
  for (const [axis, size] of shape.entries())
    if (begin[axis] || end[axis])
      gradient = gather(
        g,
        gradient,
        shape.length,
        axis,
        padSources(mode, size, begin[axis]!, end[axis]!),
        size,
      )
  return gradient
})

/** Which element of an axis each padded position copies. */
function padSources(mode: string, size: number, begin: number, end: number): number[] {
  const period = 2 * (size - 1)
  const source: Record<string, (position: number) => number> = {
    edge: (position) => Math.min(Math.max(position, 0), size - 1),
    wrap: (position) => ((position % size) + size) % size,
    reflect: (position) => {
      const folded = ((position % period) + period) % period
      return Math.min(folded, period - folded)
    },
  }
  return Array.from({ length: begin + size + end }, (_, index) => source[mode]!(index - begin))
}

/**
 * Adds up the gradients of an axis by the element that each was copied from, run by run: a stretch of the original, a
 * stretch backwards, or one element many times.
 */
function gather(
  g: Builder,
  gradient: Value,
  rank: number,
  axis: number,
  sources: readonly number[],
  size: number,
): Value {
  const none = new Array<number>(rank).fill(0)
  const parts = runsOf(sources).map(({ start, count, step }) => {
    const last = start + count
    const piece =
      step < 0
        ? g.Slice(gradient, [last - 1], [start - 1 - sources.length], [axis], [-1])
        : g.Slice(gradient, [start], [last], [axis])
    const found = step === 0 && count > 1 ? g.ReduceSum(piece, [axis], { keepdims: 1 }) : piece
    const first = sources[step < 0 ? last - 1 : start]!
    const width = step === 0 ? 1 : count
    return g.Pad(found, [...none.with(axis, first), ...none.with(axis, size - first - width)])
  })
  return parts.reduce((sum, part) => g.Add(sum, part))
}

interface Run {
  readonly start: number
  readonly count: number
  /** From one source to the next: -1, 0 or 1. */
  readonly step: number
}

/** The longest stretches in which the source changes by the same step. */
function runsOf(sources: readonly number[]): Run[] {
  const runs: Run[] = []
  for (let start = 0; start < sources.length; ) {
    const step = sources[start + 1] === undefined ? 1 : sources[start + 1]! - sources[start]!
    let end = start + 1
    if (Math.abs(step) <= 1)
      while (end < sources.length && sources[end]! - sources[end - 1]! === step) end++
    runs.push({ start, count: end - start, step: end - start === 1 ? 1 : step })
    start = end
  }
  return runs
}
