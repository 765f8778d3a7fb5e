// Operators that pick or place elements by index.
import type { Tensor1D } from '@tensorflow/tfjs'
import {
  axisFromFront,
  type Operator,
  type Operators,
  refuse,
  settled,
  unlearned,
} from '../operator.ts'
import type { Tf, TfTensor } from '../tensorflow.ts'
import { alongLast } from './reduction.ts'

const product = (dims: readonly number[]) => dims.reduce((size, dim) => size * dim, 1)

/** Rows of a matrix by index; the gradient of tf.gather walks over all rows for each of them. */
export const gatherRows = (tf: Tf, matrix: TfTensor, indices: TfTensor): TfTensor => {
  const shape = [...matrix.shape]
  return tf.customGrad((inner, save) => {
    keepFor(save, indices)
    return {
      value: gatherPlain(tf, inner as TfTensor, indices),
      gradFunc: (dy: TfTensor, [at]: TfTensor[]) => scatterPlain(tf, dy, at!, shape),
    }
  })(matrix)
}

/** A matrix of `count` rows, zeros but for the sums of those placed by index. */
const scatterRows = (tf: Tf, updates: TfTensor, indices: TfTensor, count: number): TfTensor => {
  const shape = [count, updates.shape[1]!]
  return tf.customGrad((inner, save) => {
    keepFor(save, indices)
    return {
      value: scatterPlain(tf, inner as TfTensor, indices, shape),
      gradFunc: (dy: TfTensor, [at]: TfTensor[]) => gatherPlain(tf, dy, at!),
    }
  })(updates)
}

const gatherPlain = (tf: Tf, matrix: TfTensor, indices: TfTensor): TfTensor =>
  tf.gather(matrix, indices as Tensor1D, 0)
const scatterPlain = (tf: Tf, updates: TfTensor, indices: TfTensor, shape: number[]): TfTensor =>
  tf.scatterND(tf.reshape(indices, [indices.size, 1]), updates, shape)

/** Keeps a tensor until the gradient is computed; the typing has the function for it as another tensor. */
const keepFor = (save: unknown, tensor: TfTensor) => (save as (kept: TfTensor[]) => void)([tensor])

/** Slices along an axis by a tensor of indices of any rank; negative ones count from the end. */
export function rows(tf: Tf, x: TfTensor, indices: TfTensor, axis: number): TfTensor {
  const size = x.shape[axis]!
  const flat = fromFront(tf, tf.reshape(indices, [indices.size]), size)
  const others = [...x.shape.keys()].filter((other) => other !== axis)
  const first = axis === 0 ? x : tf.transpose(x, [axis, ...others])
  const rest = others.map((other) => x.shape[other]!)
  const matrix = tf.reshape(first, [size, product(rest)])
  const picked =
    x.dtype === 'float32' ? gatherRows(tf, matrix, flat) : gatherPlain(tf, matrix, flat)
  if (axis === 0) return tf.reshape(picked, [...indices.shape, ...rest])
  const found = tf.reshape(picked, [indices.size, ...rest])
  // The picked axis goes back between those before and those behind it.
  const order = Array.from({ length: x.rank }, (_, to) =>
    to < axis ? to + 1 : to === axis ? 0 : to,
  )
  return tf.reshape(tf.transpose(found, order), [
    ...x.shape.slice(0, axis),
    ...indices.shape,
    ...x.shape.slice(axis + 1),
  ])
}

const fromFront = (tf: Tf, indices: TfTensor, size: number): TfTensor =>
  tf.where(tf.less(indices, 0), tf.add(indices, tf.scalar(size, 'int32')), indices)

/** Where in the flat data each element of an index tensor points to, along one axis. */
function places(tf: Tf, data: readonly number[], indices: TfTensor, axis: number): TfTensor {
  const strides = data.map((_, index) => product(data.slice(index + 1)))
  const dims = indices.shape
  const base = new Int32Array(indices.size)
  for (let cell = 0; cell < base.length; cell++) {
    let rest = cell
    for (let index = dims.length - 1; index >= 0; index--) {
      const place = rest % dims[index]!
      rest = Math.floor(rest / dims[index]!)
      if (index !== axis) base[cell]! += place * strides[index]!
    }
  }
  const along = fromFront(tf, tf.reshape(indices, [indices.size]), data[axis]!)
  return tf.add(tf.tensor1d(base, 'int32'), tf.mul(along, tf.scalar(strides[axis]!, 'int32')))
}

/** Rows of the flat data that the last axis of an index tensor points to. */
function tuples(tf: Tf, data: readonly number[], indices: TfTensor): TfTensor {
  const width = indices.shape.at(-1)!
  const strides = data.slice(0, width).map((_, index) => product(data.slice(index + 1, width)))
  const matrix = tf.reshape(indices, [indices.size / width, width])
  const parts = strides.map((stride, index) => {
    const cut = tf.reshape(tf.slice(matrix, [0, index], [matrix.shape[0]!, 1]), [matrix.shape[0]!])
    return tf.mul(fromFront(tf, cut, data[index]!), tf.scalar(stride, 'int32'))
  })
  return parts.reduce((sum, part) => tf.add(sum, part))
}

const gatherElements: Operator = ({ tf, x, inputs, node }) => {
  const indices = inputs[1]!
  const at = places(tf, x.shape, indices, axisFromFront(node.number('axis', 0), x.rank))
  return tf.reshape(rows(tf, tf.reshape(x, [x.size, 1]), at, 0), indices.shape)
}

const gatherND: Operator = ({ tf, x, inputs, node }) => {
  const indices = inputs[1]!
  const batch = node.number('batch_dims', 0)
  const outer = product(x.shape.slice(0, batch))
  const width = indices.shape.at(-1)!
  const data = x.shape.slice(batch, batch + width)
  const rest = x.shape.slice(batch + width)
  const matrix = tf.reshape(x, [outer * product(data), product(rest)])
  const within = tf.reshape(tuples(tf, data, indices), [outer, indices.size / width / outer])
  const starts = Int32Array.from({ length: outer }, (_, index) => index * product(data))
  const at = tf.add(within, tf.tensor2d(starts, [outer, 1], 'int32'))
  return tf.reshape(rows(tf, matrix, at, 0), [...indices.shape.slice(0, -1), ...rest])
}

/** Places updates in a matrix of rows: adds them, or puts them instead (each place once, as ONNX demands). */
function place(
  context: Parameters<Operator>[0],
  matrix: TfTensor,
  at: TfTensor,
  updates: TfTensor,
): TfTensor {
  const { tf, node } = context
  const reduction = node.string('reduction', 'none')
  if (reduction !== 'add' && reduction !== 'none')
    return refuse(context, `with reduction '${reduction}'`)
  const count = matrix.shape[0]!
  const placed = scatterRows(tf, updates, at, count)
  if (reduction === 'add') return tf.add(matrix, placed)
  const taken = scatterRows(tf, tf.ones(updates.shape), at, count)
  const free = tf.sub(1, tf.clipByValue(taken, 0, 1))
  return tf.add(tf.mul(matrix, free), placed)
}

const scatterElements: Operator = (context) => {
  const { tf, x, inputs, node } = context
  const axis = axisFromFront(node.number('axis', 0), x.rank)
  const at = places(tf, x.shape, inputs[1]!, axis)
  const updates = tf.reshape(inputs[2]!, [inputs[2]!.size, 1])
  return tf.reshape(place(context, tf.reshape(x, [x.size, 1]), at, updates), x.shape)
}

const scatterND: Operator = (context) => {
  const { tf, x, inputs } = context
  const [, indices, given] = inputs
  const width = indices!.shape.at(-1)!
  const inner = product(x.shape.slice(width))
  const matrix = tf.reshape(x, [product(x.shape.slice(0, width)), inner])
  const updates = tf.reshape(given!, [given!.size / inner, inner])
  return tf.reshape(place(context, matrix, tuples(tf, x.shape, indices!), updates), x.shape)
}

const topK: Operator = (context) => {
  const { tf, x, node } = context
  const axis = axisFromFront(node.number('axis', -1), x.rank)
  const [count = 1] = settled(context, 1)!
  const sign = node.number('largest', 1) === 1 ? 1 : -1
  const find = (line: TfTensor) => tf.topk(tf.mul(line, sign), count, true).indices
  const indices = unlearned(tf, [x], (inner) => alongLast(tf, inner, axis, find))
  const at = places(tf, x.shape, indices, axis)
  const values = tf.reshape(rows(tf, tf.reshape(x, [x.size, 1]), at, 0), indices.shape)
  return [values, indices]
}

const oneHot: Operator = (context) => {
  const { tf, x, inputs, node } = context
  const [depth = 1] = settled(context, 1)!
  const axis = axisFromFront(node.number('axis', -1), x.rank + 1)
  const [off, on] = tf.split(inputs[2]!, 2)
  const hot = unlearned(tf, [x], (inner) =>
    tf.cast(tf.oneHot(fromFront(tf, tf.cast(inner, 'int32'), depth), depth), 'float32'),
  )
  const order = [...x.shape.keys()]
  order.splice(axis, 0, x.rank)
  return tf.add(tf.mul(tf.transpose(hot, order), tf.sub(on!, off!)), off!)
}

/** By index. */
export const indexing: Operators = {
  Gather: ({ tf, x, inputs, node }) =>
    rows(tf, x, tf.cast(inputs[1]!, 'int32'), axisFromFront(node.number('axis', 0), x.rank)),
  GatherElements: gatherElements,
  GatherND: gatherND,
  OneHot: oneHot,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  TopK: topK,
}
