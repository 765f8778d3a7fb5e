// Operators that sum up along axes, and those that normalise by such sums.
import {
  absolute,
  axisFromFront,
  type Operator,
  type Operators,
  settled,
  sumOf,
  unlearned,
} from '../operator.ts'
import type { Tf, TfTensor } from '../tensorflow.ts'

type Reduction = (tf: Tf, x: TfTensor, axes: number[], keep: boolean) => TfTensor

/** Axes are the second input; without any, all are meant unless the node says otherwise. */
const reduce =
  (compute: Reduction): Operator =>
  (context) => {
    const { tf, x, node } = context
    const given = settled(context, 1) ?? node.numbers('axes') ?? []
    // Each element is then reduced on its own.
    if (given.length === 0 && node.number('noop_with_empty_axes', 0) === 1)
      return compute(tf, tf.expandDims(x, -1), [x.rank], false)
    const axes =
      given.length > 0 ? given.map((axis) => axisFromFront(axis, x.rank)) : x.shape.map((_, i) => i)
    return compute(tf, x, axes, node.number('keepdims', 1) === 1)
  }

const sumSquare: Reduction = (tf, x, axes, keep) => tf.sum(tf.mul(x, x), axes, keep)

/** A function of the last axis, for operators whose gradient knows no other. */
export function alongLast(
  tf: Tf,
  x: TfTensor,
  axis: number,
  compute: (x: TfTensor) => TfTensor,
): TfTensor {
  if (axis === x.rank - 1) return compute(x)
  const order = [...x.shape.keys()]
  order[axis] = x.rank - 1
  order[x.rank - 1] = axis
  return tf.transpose(compute(tf.transpose(x, order)), order)
}

const softmax =
  (compute: (tf: Tf, x: TfTensor) => TfTensor): Operator =>
  ({ tf, x, node }) =>
    alongLast(tf, x, axisFromFront(node.number('axis', -1), x.rank), (rows) => compute(tf, rows))

const arg =
  (compute: (tf: Tf, x: TfTensor, axis: number) => TfTensor): Operator =>
  ({ tf, x, node }) => {
    const axis = axisFromFront(node.number('axis', 0), x.rank)
    const last = node.number('select_last_index', 0) === 1
    const found = unlearned(tf, [x], (inner) => {
      const index = compute(tf, last ? tf.reverse(inner, [axis]) : inner, axis)
      return last ? tf.cast(tf.sub(x.shape[axis]! - 1, index), 'int32') : index
    })
    return node.number('keepdims', 1) === 1 ? tf.expandDims(found, axis) : found
  }

/** (x - mean) / √(variance + ε) over some axes, with the mean and 1 / √(variance + ε). */
function standardize(tf: Tf, x: TfTensor, axes: number[], epsilon: number) {
  const mean = tf.mean(x, axes, true)
  const centred = tf.sub(x, mean)
  const variance = tf.mean(tf.mul(centred, centred), axes, true)
  const inverse = tf.rsqrt(tf.add(variance, epsilon))
  return { normal: tf.mul(centred, inverse), mean, variance, inverse }
}

/** A vector of one number a channel, so that it broadcasts over [N, C, …]. */
const column = (tf: Tf, vector: TfTensor, rank: number): TfTensor =>
  tf.reshape(vector, [vector.size, ...Array<number>(Math.max(0, rank - 2)).fill(1)])

const behind = (rank: number, axis: number): number[] =>
  Array.from({ length: rank - axis }, (_, index) => axis + index)

// Ba et al. 2016
const layerNormalization: Operator = ({ tf, x, node, inputs }) => {
  const axes = behind(x.rank, axisFromFront(node.number('axis', -1), x.rank))
  const { normal, mean, inverse } = standardize(tf, x, axes, node.number('epsilon', 1e-5))
  const [, scale, bias] = inputs
  const y = scale ? tf.mul(normal, scale) : normal
  return [bias ? tf.add(y, bias) : y, mean, inverse]
}

// Ioffe and Szegedy 2015
const batchNormalization: Operator = ({ tf, node, inputs }) => {
  const [x, scale, bias, mean, variance] = inputs as [
    TfTensor,
    TfTensor,
    TfTensor,
    TfTensor,
    TfTensor,
  ]
  const epsilon = node.number('epsilon', 1e-5)
  const gain = column(tf, scale, x.rank)
  const shift = column(tf, bias, x.rank)
  if (node.number('training_mode', 0) === 0) {
    const factor = tf.mul(gain, tf.rsqrt(tf.add(column(tf, variance, x.rank), epsilon)))
    return tf.add(tf.mul(tf.sub(x, column(tf, mean, x.rank)), factor), shift)
  }
  const axes = x.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]))
  const batch = standardize(tf, x, axes, epsilon)
  const momentum = node.number('momentum', 0.9)
  const running = (before: TfTensor, now: TfTensor) =>
    tf.add(tf.mul(before, momentum), tf.mul(tf.reshape(now, before.shape), 1 - momentum))
  return [
    tf.add(tf.mul(batch.normal, gain), shift),
    running(mean, batch.mean),
    running(variance, batch.variance),
  ]
}

// Ulyanov et al. 2016
const instanceNormalization: Operator = ({ tf, x, node, inputs }) => {
  const { normal } = standardize(tf, x, behind(x.rank, 2), node.number('epsilon', 1e-5))
  return tf.add(tf.mul(normal, column(tf, inputs[1]!, x.rank)), column(tf, inputs[2]!, x.rank))
}

// Wu and He 2018
const groupNormalization: Operator = ({ tf, x, node, inputs }) => {
  const groups = node.number('num_groups', 1)
  const [batch, channels] = x.shape as [number, number]
  const rows = tf.reshape(x, [batch, groups, x.size / (batch * groups)])
  const { normal } = standardize(tf, rows, [2], node.number('epsilon', 1e-5))
  // Before opset 21 scale and bias had one number a group.
  const each = (vector: TfTensor) =>
    column(
      tf,
      vector.size === channels
        ? vector
        : tf.reshape(tf.broadcastTo(tf.reshape(vector, [groups, 1]), [groups, channels / groups]), [
            channels,
          ]),
      x.rank,
    )
  return tf.add(tf.mul(tf.reshape(normal, x.shape), each(inputs[1]!)), each(inputs[2]!))
}

// Zhang and Sennrich 2019
const rmsNormalization: Operator = ({ tf, x, node, inputs }) => {
  const axes = behind(x.rank, axisFromFront(node.number('axis', -1), x.rank))
  const square = tf.mean(tf.mul(x, x), axes, true)
  const normal = tf.mul(x, tf.rsqrt(tf.add(square, node.number('epsilon', 1e-5))))
  return tf.mul(normal, inputs[1]!)
}

const lpNormalization: Operator = ({ tf, x, node }) => {
  const axis = axisFromFront(node.number('axis', -1), x.rank)
  const norm =
    node.number('p', 2) === 1
      ? tf.sum(absolute(tf, x), axis, true)
      : tf.sqrt(tf.sum(tf.mul(x, x), axis, true))
  return tf.div(x, norm)
}

// x / (bias + alpha / size · Σ x²)^beta over neighbouring channels (Krizhevsky et al. 2012, section 3.3)
const lrn: Operator = ({ tf, x, node }) => {
  const size = node.number('size', 1)
  const before = Math.floor((size - 1) / 2)
  const square = tf.mul(x, x)
  const pads = x.shape.map((_, axis): [number, number] =>
    axis === 1 ? [before, size - 1 - before] : [0, 0],
  )
  const padded = tf.pad(square, pads)
  const shifted = Array.from({ length: size }, (_, shift) =>
    tf.slice(
      padded,
      x.shape.map((__, axis) => (axis === 1 ? shift : 0)),
      x.shape,
    ),
  )
  const sum = tf.mul(sumOf(tf, shifted), node.number('alpha', 1e-4) / size)
  const base = tf.add(sum, node.number('bias', 1))
  return tf.mul(x, tf.exp(tf.mul(tf.log(base), -node.number('beta', 0.75))))
}

/** Along axes. */
export const reduction: Operators = {
  ArgMax: arg((tf, x, axis) => tf.argMax(x, axis)),
  ArgMin: arg((tf, x, axis) => tf.argMin(x, axis)),
  BatchNormalization: batchNormalization,
  CumSum: (context) => {
    const { tf, x, node } = context
    const axis = axisFromFront(settled(context, 1)?.[0] ?? 0, x.rank)
    const flag = (name: string) => node.number(name, 0) === 1
    return alongLast(tf, x, axis, (rows) =>
      tf.cumsum(rows, rows.rank - 1, flag('exclusive'), flag('reverse')),
    )
  },
  GroupNormalization: groupNormalization,
  InstanceNormalization: instanceNormalization,
  LRN: lrn,
  LayerNormalization: layerNormalization,
  LogSoftmax: softmax((tf, x) => tf.logSoftmax(x)),
  LpNormalization: lpNormalization,
  RMSNormalization: rmsNormalization,
  ReduceL1: reduce((tf, x, axes, keep) => tf.sum(absolute(tf, x), axes, keep)),
  ReduceL2: reduce((tf, x, axes, keep) => tf.sqrt(sumSquare(tf, x, axes, keep))),
  ReduceLogSum: reduce((tf, x, axes, keep) => tf.log(tf.sum(x, axes, keep))),
  ReduceLogSumExp: reduce((tf, x, axes, keep) => tf.logSumExp(x, axes, keep)),
  ReduceMax: reduce((tf, x, axes, keep) => tf.max(x, axes, keep)),
  ReduceMean: reduce((tf, x, axes, keep) => tf.mean(x, axes, keep)),
  ReduceMin: reduce((tf, x, axes, keep) => tf.min(x, axes, keep)),
  ReduceProd: reduce((tf, x, axes, keep) => tf.prod(x, axes, keep)),
  ReduceSum: reduce((tf, x, axes, keep) => tf.sum(x, axes, keep)),
  ReduceSumSquare: reduce(sumSquare),
  'com.microsoft.SkipLayerNormalization': (context) => {
    const { tf, x, inputs } = context
    const [, skip, scale, bias, extra] = inputs
    const sum = sumOf(tf, [x, skip!, ...(extra ? [extra] : [])])
    const [y, mean, inverse] = layerNormalization({
      ...context,
      x: sum,
      inputs: [sum, scale, bias],
    }) as TfTensor[]
    return [y, mean, inverse, sum]
  },
  Softmax: softmax((tf, x) => tf.softmax(x)),
}
