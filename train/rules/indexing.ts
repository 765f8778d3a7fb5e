// Gradients of operators that read or write elements at given places. Adding up at places is ScatterElements, which
// does so one after the other; ScatterND(add) races in ONNX Runtime with more than one thread.
import type { Builder } from '../../onnx/build.ts'
import { constantOf, type Node, type Value } from '../../onnx/graph.ts'
import { numbers, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { axisOf, fill, optionalOutput, type Rule, shapeOf, unary } from '../rule.ts'
import { putBack } from './movement.ts'

/** Gather: every slice gets the sum of the gradients of its copies (an embedding's rows, say). */
export const gather: Rule = unary(({ g, node, x, dy }) => {
  const shape = shapeOf(x)
  const indices = node.input(1)
  const axis = axisOf(node.number('axis', 0), shape.length)
  const count = sizeOf(shapeOf(indices))
  return addSlices(g, g.Reshape(dy, shape.with(axis, count)), shape, axis, indices, count)
})

/** GatherElements: every element gets the sum of the gradients of its copies. */
export const gatherElements: Rule = unary(({ g, node, x, dy }) => {
  const zeros = fill(g, 0, shapeOf(x))
  const attributes = { axis: node.number('axis', 0), reduction: 'add' }
  return g.ScatterElements(zeros, node.input(1), dy, attributes)
})

/** GatherND: as Gather, with the indexed axes as one. */
export const gatherND: Rule = unary(({ g, node, x, dy }) => {
  const shape = shapeOf(x)
  const indices = node.input(1)
  const batchDims = node.number('batch_dims', 0)
  const depth = shapeOf(indices).at(-1)!
  const batch = sizeOf(shape.slice(0, batchDims))
  const places = sizeOf(shape.slice(batchDims, batchDims + depth))
  const inner = sizeOf(shape.slice(batchDims + depth))
  const linear = linearIndices(g, indices, shape.slice(batchDims, batchDims + depth))
  const count = sizeOf(shapeOf(indices).slice(0, -1)) / batch
  if (batch === 1) {
    const sum = addSlices(g, g.Reshape(dy, [count, inner]), [places, inner], 0, linear, count)
    return g.Reshape(sum, shape)
  }
  const dims = [batch, count, inner]
  const sum = g.ScatterElements(
    fill(g, 0, [batch, places, inner]),
    g.Expand(g.Reshape(linear, [batch, count, 1]), dims),
    g.Reshape(dy, dims),
    { axis: 1, reduction: 'add' },
  )
  return g.Reshape(sum, shape)
})

/** ScatterElements, by its reduction. */
export const scatterElements: Rule = {
  gradients: (context) => scatters[context.node.string('reduction', 'none')]!(context),
}

const scatters: Readonly<Record<string, Rule['gradients']>> = {
  // What was overwritten has no gradient.
  none: ({ g, node, dy }) => {
    const [indices, attributes] = placesOf(node)
    const zeros = fill(g, 0, shapeOf(node.input(2)))
    const kept = g.ScatterElements(dy, indices, zeros, attributes)
    return [kept, undefined, g.GatherElements(dy, indices, attributes)]
  },
  add: ({ g, node, dy }) => {
    const [indices, attributes] = placesOf(node)
    return [dy, undefined, g.GatherElements(dy, indices, attributes)]
  },
  // y = x Π u. For u of other than zero y/u is the product of the others; a zero counts only where it is the only one.
  mul: ({ g, node, x, dy }) => {
    const [indices, attributes] = placesOf(node)
    const updates = node.input(2)
    const scatter = (start: number, values: Value, reduction: string) =>
      g.ScatterElements(fill(g, start, shapeOf(x)), indices, values, { ...attributes, reduction })
    const zero = g.Cast(g.Equal(updates, 0), { to: 1 })
    const safe = g.Add(updates, zero)
    const product = g.Mul(g.Mul(dy, x), scatter(1, safe, 'mul'))
    const others = g.Sub(g.GatherElements(scatter(0, zero, 'add'), indices, attributes), zero)
    const share = g.Div(g.GatherElements(product, indices, attributes), safe)
    return [
      g.Mul(dy, scatter(1, updates, 'mul')),
      undefined,
      g.Mul(share, g.Clip(g.Sub(1, others), 0, 1)),
    ]
  },
  max: extreme,
  min: extreme,
}

/** The gradient of a largest or smallest element, in equal shares to all that are it. */
function extreme({ g, node, x, y, dy }: Parameters<Rule['gradients']>[0]) {
  const [indices, attributes] = placesOf(node)
  const isIt = (value: Value, result: Value) => g.Cast(g.Equal(value, result), { to: 1 })
  const own = isIt(x, y)
  const update = isIt(node.input(2), g.GatherElements(y, indices, attributes))
  const count = g.ScatterElements(own, indices, update, { ...attributes, reduction: 'add' })
  const share = g.Div(dy, count)
  return [
    g.Mul(share, own),
    undefined,
    g.Mul(g.GatherElements(share, indices, attributes), update),
  ] as const
}

/** ScatterND that overwrites (those that reduce are decomposed): what was overwritten has no gradient. */
export const scatterND: Rule = {
  gradients: ({ g, node, dy }) => {
    const [indices, updates] = [node.input(1), node.input(2)]
    const kept = g.ScatterND(dy, indices, fill(g, 0, shapeOf(updates)))
    return [kept, undefined, g.GatherND(dy, indices)]
  },
}

/** TopK: the gradient goes back to where the values stood. */
export const topK: Rule = unary(({ g, node, x, dy }) =>
  g.ScatterElements(fill(g, 0, shapeOf(x)), optionalOutput(g, node, 1, 'indices'), dy, {
    axis: node.number('axis', -1),
  }),
)

/** MaxUnpool: each cell's gradient is read from where the cell was put. */
export const maxUnpool: Rule = unary(({ g, node, x, dy }) => {
  const indices = g.Reshape(node.input(1), [-1])
  return g.Reshape(g.Gather(g.Reshape(dy, [-1]), indices, { axis: 0 }), shapeOf(x))
})

/** Row-major positions in a shape, of tuples of indices in the last axis of a tensor; negative ones count from the back. */
export function linearIndices(g: Builder, indices: Value, dims: readonly number[]): Value {
  const strides = dims.map((_, axis) => sizeOf(dims.slice(axis + 1)))
  const constant = constantOf(indices)
  if (constant) {
    const tuples = numbers(constant)
    const count = tuples.length / dims.length
    const positions = Array.from({ length: count }, (_, place) =>
      dims.reduce(
        (sum, dim, axis) => sum + axisOf(tuples[place * dims.length + axis]!, dim) * strides[axis]!,
        0,
      ),
    )
    return g.constant(tensorOf('int64', constant.dims.slice(0, -1), positions))
  }
  const products = g.Mul(g.Mod(indices, dims), strides)
  return g.ReduceSum(products, [-1], { keepdims: 0 })
}

/** Adds slices along an axis to zeros of a shape, at the places that `count` indices of any shape say. */
function addSlices(
  g: Builder,
  slices: Value,
  shape: readonly number[],
  axis: number,
  indices: Value,
  count: number,
): Value {
  const size = shape[axis]!
  const constant = constantOf(indices)
  const places = constant && numbers(constant).map((index) => axisOf(index, size))
  if (places?.length && new Set(places).size === places.length)
    return moveSlices(g, slices, shape, axis, places)
  const dims = shape.with(axis, count)
  const line = shape.map((_, each) => (each === axis ? count : 1))
  return g.ScatterElements(fill(g, 0, shape), g.Expand(g.Reshape(indices, line), dims), slices, {
    axis,
    reduction: 'add',
  })
}

/** Slices at known places, no two alike, with zeros between: Pad where they lie at equal distances, else Gather. */
function moveSlices(
  g: Builder,
  slices: Value,
  shape: readonly number[],
  axis: number,
  places: readonly number[],
): Value {
  const [count, size] = [places.length, shape[axis]!]
  const step = count > 1 ? places[1]! - places[0]! : 1
  if (places.every((place, index) => place === places[0]! + index * step))
    return putBack(g, slices, shape.with(axis, count), axis, size, places[0]!, step)
  const sources = new Array<number>(size).fill(count)
  for (const [index, place] of places.entries()) sources[place] = index
  // One slice of zeros behind the others for the places that get nothing.
  const ends = shape.map((_, each) => (each === axis ? 1 : 0))
  const padded = count === size ? slices : g.Pad(slices, [...ends.map(() => 0), ...ends])
  return g.Gather(padded, sources, { axis })
}

const placesOf = (node: Node) => [node.input(1), { axis: node.number('axis', 0) }] as const
