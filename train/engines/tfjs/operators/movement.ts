// Operators that move elements about without changing them.
import { dataTypeOf } from '../../../../onnx/tensor.ts'
import {
  axisFromFront,
  broadcast,
  broadcastShape,
  every,
  type Operator,
  type Operators,
  pieces,
  resized,
  settled,
} from '../operator.ts'
import type { Tf, TfTensor } from '../tensorflow.ts'
import { toTf, typeFor } from '../values.ts'
import { rows } from './indexing.ts'

const product = (dims: readonly number[]) => dims.reduce((size, dim) => size * dim, 1)

const reshape: Operator = (context) => {
  const { tf, x, node } = context
  const wanted = settled(context, 1)!
  const keepsZero = node.number('allowzero', 0) === 1
  const dims = wanted.map((dim, axis) => (dim === 0 && !keepsZero ? x.shape[axis]! : dim))
  return tf.reshape(x, dims)
}

const flatten: Operator = ({ tf, x, node }) => {
  const axis = axisFromFront(node.number('axis', 1), x.rank)
  return tf.reshape(x, [product(x.shape.slice(0, axis)), product(x.shape.slice(axis))])
}

const squeeze: Operator = (context) => {
  const { tf, x } = context
  const given = settled(context, 1) ?? context.node.numbers('axes')
  const axes = given?.map((axis) => axisFromFront(axis, x.rank))
  return tf.reshape(
    x,
    x.shape.filter((dim, axis) => (axes ? !axes.includes(axis) : dim !== 1)),
  )
}

const unsqueeze: Operator = (context) => {
  const { tf, x } = context
  const given = settled(context, 1) ?? context.node.numbers('axes') ?? []
  const rank = x.rank + given.length
  const axes = new Set(given.map((axis) => axisFromFront(axis, rank)))
  const rest = [...x.shape]
  return tf.reshape(
    x,
    Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : rest.shift()!)),
  )
}

const transpose: Operator = ({ tf, x, node }) =>
  tf.transpose(x, [...node.numbers('perm', [...x.shape.keys()].reverse())])

const concat: Operator = ({ tf, inputs, node }) => {
  const parts = (inputs as TfTensor[]).filter((part) => part.size > 0)
  const axis = axisFromFront(node.number('axis', 0), inputs[0]!.rank)
  return parts.length === 1 ? parts[0]! : tf.concat(parts, axis)
}

const split: Operator = (context) => {
  const { tf, x, node } = context
  const axis = axisFromFront(node.number('axis', 0), x.rank)
  const size = x.shape[axis]!
  const each = Math.ceil(size / node.outputs.length)
  const sizes =
    settled(context, 1) ??
    node.numbers('split') ??
    node.outputs.map((_, index) => Math.min(each, size - index * each))
  return pieces(tf, x, sizes, axis)
}

const slice: Operator = (context) => {
  const { tf, x } = context
  const [starts, ends] = [settled(context, 1)!, settled(context, 2)!]
  const axes = settled(context, 3) ?? starts.map((_, index) => index)
  const steps = settled(context, 4) ?? starts.map(() => 1)
  return axes.reduce((cut, given, index) => {
    const axis = axisFromFront(given, x.rank)
    const size = x.shape[axis]!
    const step = steps[index]!
    const limit = (bound: number, low: number, high: number) =>
      Math.min(high, Math.max(low, bound < 0 ? bound + size : bound))
    const start = step > 0 ? limit(starts[index]!, 0, size) : limit(starts[index]!, 0, size - 1)
    const end = step > 0 ? limit(ends[index]!, 0, size) : limit(ends[index]!, -1, size - 1)
    const count = Math.max(0, Math.ceil((end - start) / step))
    return every(tf, cut, axis, { start, step, count })
  }, x)
}

/** For every place along a padded axis the place that it is copied from. */
const sources: Record<string, (place: number, size: number) => number> = {
  edge: (place, size) => Math.min(size - 1, Math.max(0, place)),
  reflect: (place, size) => {
    const period = Math.max(1, 2 * (size - 1))
    const within = ((place % period) + period) % period
    return within < size ? within : period - within
  },
  wrap: (place, size) => ((place % size) + size) % size,
}

const pad: Operator = (context) => {
  const { tf, x, node } = context
  const pads = settled(context, 1)!
  const axes = (settled(context, 3) ?? [...x.shape.keys()]).map((axis) =>
    axisFromFront(axis, x.rank),
  )
  const mode = node.string('mode', 'constant')
  const source = sources[mode]
  const [value = 0] = settled(context, 2) ?? []
  return axes.reduce((padded, axis, index) => {
    const [before, after] = [pads[index]!, pads[index + axes.length]!]
    if (before === 0 && after === 0) return padded
    if (!source) return resized(tf, padded, axis, before, after, value)
    const size = padded.shape[axis]!
    const places = Array.from({ length: size + before + after }, (_, place) =>
      source(place - before, size),
    )
    return rows(tf, padded, tf.tensor1d(places, 'int32'), axis)
  }, x)
}

const tile: Operator = (context) => {
  const { tf, x } = context
  return settled(context, 1)!.reduce(
    (tiled, count, axis) =>
      count === 1 ? tiled : tf.concat(Array<TfTensor>(count).fill(tiled), axis),
    x,
  )
}

const expand: Operator = (context) => {
  const { tf, x } = context
  const shape = broadcastShape(x.shape, settled(context, 1)!)
  return x.dtype === 'float32'
    ? broadcast(tf, x, shape)
    : tf.cast(broadcast(tf, tf.cast(x, 'float32'), shape), x.dtype)
}

// [N, C, H, W] between channels and blocks of pixels
const depthToSpace: Operator = ({ tf, x, node }) => {
  const block = node.number('blocksize', 1)
  const [n, c, h, w] = x.shape as [number, number, number, number]
  const inner = c / (block * block)
  const columns = node.string('mode', 'DCR') === 'CRD'
  const cells = columns ? [n, inner, block, block, h, w] : [n, block, block, inner, h, w]
  const order = columns ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]
  return tf.reshape(tf.transpose(tf.reshape(x, cells), order), [n, inner, h * block, w * block])
}

const spaceToDepth: Operator = ({ tf, x, node }) => {
  const block = node.number('blocksize', 1)
  const [n, c, h, w] = x.shape as [number, number, number, number]
  const cells = tf.reshape(x, [n, c, h / block, block, w / block, block])
  return tf.reshape(tf.transpose(cells, [0, 3, 5, 1, 2, 4]), [
    n,
    c * block * block,
    h / block,
    w / block,
  ])
}

/** 1 in the cells of a matrix whose distance from the diagonal fits, else 0. */
const triangle = (height: number, width: number, fits: (distance: number) => boolean) =>
  Float32Array.from({ length: height * width }, (_, cell) =>
    fits((cell % width) - Math.floor(cell / width)) ? 1 : 0,
  )

const trilu: Operator = (context) => {
  const { tf, x, node } = context
  const [shift = 0] = settled(context, 1) ?? []
  const upper = node.number('upper', 1) === 1
  const [height, width] = x.shape.slice(-2) as [number, number]
  const mask = triangle(height, width, (distance) =>
    upper ? distance >= shift : distance <= shift,
  )
  return tf.mul(x, tf.tensor2d(mask, [height, width]))
}

/** A tensor of plain numbers that are known before the run. */
const whole = (tf: Tf, values: readonly number[], dims: number[]): TfTensor =>
  tf.tensor(Int32Array.from(values), dims, 'int32')

/** What moves elements. */
export const movement: Operators = {
  Concat: concat,
  ConstantOfShape: (context) => {
    const { tf, node, where } = context
    const shape = [...settled(context, 0)!]
    const attribute = node.attributes.get('value')
    if (attribute?.type !== 'tensor') return tf.zeros(shape)
    return tf.broadcastTo(tf.reshape(toTf(tf, attribute.value, where), []), shape)
  },
  DepthToSpace: depthToSpace,
  Expand: expand,
  EyeLike: ({ tf, x, node, where }) => {
    const [height, width] = x.shape as [number, number]
    const shift = node.number('k', 0)
    const ones = triangle(height, width, (distance) => distance === shift)
    const dtype = typeFor(dataTypeOf(node.number('dtype', 1)) ?? 'float32', where)
    return tf.cast(tf.tensor2d(ones, [height, width]), dtype)
  },
  Flatten: flatten,
  Pad: pad,
  Range: (context) => {
    const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((index) => settled(context, index)![0]!)
    const count = Math.max(0, Math.ceil((limit - start) / delta))
    const values = Array.from({ length: count }, (_, index) => start + index * delta)
    const float = context.x.dtype === 'float32'
    return float ? context.tf.tensor1d(values, 'float32') : whole(context.tf, values, [count])
  },
  Reshape: reshape,
  Shape: ({ tf, x, node }) => {
    const bound = (value: number) =>
      Math.min(x.rank, Math.max(0, value < 0 ? value + x.rank : value))
    const dims = x.shape.slice(bound(node.number('start', 0)), bound(node.number('end', x.rank)))
    return whole(tf, dims, [dims.length])
  },
  Size: ({ tf, x }) => whole(tf, [x.size], []),
  Slice: slice,
  SpaceToDepth: spaceToDepth,
  Split: split,
  Squeeze: squeeze,
  Tile: tile,
  Transpose: transpose,
  Trilu: trilu,
  Unsqueeze: unsqueeze,
}
