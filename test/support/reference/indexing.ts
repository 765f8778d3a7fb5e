// Reference evaluators of operators that read or write elements at given places.
import type { Attributes } from '../../../onnx/build.ts'
import {
  at,
  axisOf,
  type Evaluator,
  fill,
  type NdArray,
  nd,
  numberOf,
  positions,
  required,
  sizeOf,
} from './nd.ts'

const axisIn = (x: NdArray, attributes: Attributes, fallback = 0): number =>
  axisOf(numberOf(attributes, 'axis', fallback), x.dims.length)

/** The offset of a position in row-major order. */
const offsetOf = (dims: readonly number[], position: readonly number[]): number =>
  dims.reduce((offset, dim, axis) => offset * dim + position[axis]!, 0)

const gather: Evaluator = ([data, places], attributes) => {
  const [x, indices] = [required(data), required(places)]
  const axis = axisIn(x, attributes)
  const depth = indices.dims.length
  return fill(x.dims.toSpliced(axis, 1, ...indices.dims), (position) => {
    const index = at(indices, position.slice(axis, axis + depth))
    return at(x, position.toSpliced(axis, depth, axisOf(index, x.dims[axis]!)))
  })
}

const gatherElements: Evaluator = ([data, places], attributes) => {
  const [x, indices] = [required(data), required(places)]
  const axis = axisIn(x, attributes)
  return fill(indices.dims, (position) =>
    at(x, position.with(axis, axisOf(at(indices, position), x.dims[axis]!))),
  )
}

/** The tuple of indices at a position of all axes but the last. */
const tupleAt = (indices: NdArray, position: readonly number[], dims: readonly number[]) =>
  Array.from({ length: indices.dims.at(-1)! }, (_, place) =>
    axisOf(at(indices, [...position, place]), dims[place]!),
  )

const gatherND: Evaluator = ([data, places], attributes) => {
  const [x, indices] = [required(data), required(places)]
  const batch = numberOf(attributes, 'batch_dims', 0)
  const depth = indices.dims.at(-1)!
  const outer = indices.dims.slice(0, -1)
  return fill([...outer, ...x.dims.slice(batch + depth)], (position) => {
    const tuple = tupleAt(indices, position.slice(0, outer.length), x.dims.slice(batch))
    return at(x, [...position.slice(0, batch), ...tuple, ...position.slice(outer.length)])
  })
}

const reductions: Readonly<Record<string, (old: number, update: number) => number>> = {
  none: (_, update) => update,
  add: (old, update) => old + update,
  mul: (old, update) => old * update,
  max: Math.max,
  min: Math.min,
}

const scatterElements: Evaluator = ([data, places, values], attributes) => {
  const [x, indices, updates] = [required(data), required(places), required(values)]
  const axis = axisIn(x, attributes)
  const reduce = reductions[String(attributes.reduction ?? 'none')]!
  const result = nd(x.dims, x.data)
  for (const position of positions(indices.dims)) {
    const target = position.with(axis, axisOf(at(indices, position), x.dims[axis]!))
    const offset = offsetOf(x.dims, target)
    result.data[offset] = reduce(result.data[offset]!, at(updates, position))
  }
  return result
}

const scatterND: Evaluator = ([data, places, values], attributes) => {
  const [x, indices, updates] = [required(data), required(places), required(values)]
  const reduce = reductions[String(attributes.reduction ?? 'none')]!
  const outer = indices.dims.length - 1
  const result = nd(x.dims, x.data)
  for (const position of positions(updates.dims)) {
    const tuple = tupleAt(indices, position.slice(0, outer), x.dims)
    const offset = offsetOf(x.dims, [...tuple, ...position.slice(outer)])
    result.data[offset] = reduce(result.data[offset]!, at(updates, position))
  }
  return result
}

const topK: Evaluator = ([data, count], attributes) => {
  const x = required(data)
  const axis = axisIn(x, attributes, -1)
  const sign = numberOf(attributes, 'largest', 1) ? -1 : 1
  return fill(x.dims.with(axis, required(count).data[0]!), (position) => {
    const line = Array.from({ length: x.dims[axis]! }, (_, index) =>
      at(x, position.with(axis, index)),
    )
    return line.sort((a, b) => sign * (a - b))[position[axis]!]!
  })
}

const maxUnpool: Evaluator = ([data, places, shape], attributes) => {
  const [x, indices] = [required(data), required(places)]
  const [kernel, strides] = [attributes.kernel_shape, attributes.strides] as (readonly number[])[]
  const spatial = x.dims
    .slice(2)
    .map((size, axis) => (size - 1) * (strides?.[axis] ?? 1) + kernel![axis]!)
  const dims = shape ? Array.from(shape.data) : [...x.dims.slice(0, 2), ...spatial]
  const result = nd(dims, new Float64Array(sizeOf(dims)))
  for (const [place, value] of x.data.entries()) result.data[indices.data[place]!] = value
  return result
}

const compress: Evaluator = ([data, condition], attributes) => {
  const x = required(data)
  const places = [...required(condition).data].flatMap((kept, place) => (kept ? [place] : []))
  if (attributes.axis === undefined)
    return nd(
      [places.length],
      places.map((place) => x.data[place]!),
    )
  const axis = axisIn(x, attributes)
  return fill(x.dims.with(axis, places.length), (position) =>
    at(x, position.with(axis, places[position[axis]!]!)),
  )
}

/** Evaluators by operator. */
export const indexing: Readonly<Record<string, Evaluator>> = {
  Compress: compress,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  MaxUnpool: maxUnpool,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  TopK: topK,
}
