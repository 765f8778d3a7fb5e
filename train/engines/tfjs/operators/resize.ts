// Resize: along every axis a product with the matrix of its interpolation, which has a gradient for every mode.
import {
  axisFromFront,
  type OperatorContext,
  type Operators,
  refuse,
  settled,
} from '../operator.ts'
import type { Tf, TfTensor } from '../tensorflow.ts'

/** How one axis is resized. */
interface Axis {
  readonly from: number
  readonly to: number
  readonly scale: number
}

/** Where an output lies among the inputs, by the transformation's name. */
const coordinates: Record<string, (output: number, axis: Axis) => number> = {
  half_pixel: (output, { scale }) => (output + 0.5) / scale - 0.5,
  half_pixel_symmetric: (output, { from, to, scale }) => {
    const adjustment = to / (scale * from)
    return (from / 2) * (1 - adjustment) + (output + 0.5) / scale - 0.5
  },
  pytorch_half_pixel: (output, { to, scale }) => (to > 1 ? (output + 0.5) / scale - 0.5 : 0),
  align_corners: (output, { from, to }) => (to === 1 ? 0 : (output * (from - 1)) / (to - 1)),
  asymmetric: (output, { scale }) => output / scale,
}

const roundings: Record<string, (place: number) => number> = {
  round_prefer_floor: (place) => Math.ceil(place - 0.5),
  round_prefer_ceil: (place) => Math.floor(place + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
}

/** Shares of the inputs near a place, by distance, for each mode. */
const kernels: Record<string, { reach: number; weight: (distance: number, a: number) => number }> =
  {
    linear: { reach: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
    // Keys 1981
    cubic: {
      reach: 2,
      weight: (distance, a) => {
        const d = Math.abs(distance)
        if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1
        return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0
      },
    },
  }

function matrixFor(context: OperatorContext, axis: Axis): Float32Array {
  const { node } = context
  const mode = node.string('mode', 'nearest')
  const transformation = node.string('coordinate_transformation_mode', 'half_pixel')
  const rounding = roundings[node.string('nearest_mode', 'round_prefer_floor')]!
  const coordinate = coordinates[transformation]
  if (!coordinate) return refuse(context, `with coordinates '${transformation}'`)
  if (node.number('antialias', 0) === 1 && axis.to < axis.from)
    return refuse(context, 'with antialiasing')
  const { from, to } = axis
  const matrix = new Float32Array(to * from)
  const inside = (place: number) => Math.min(from - 1, Math.max(0, place))
  for (let output = 0; output < to; output++) {
    const place = coordinate(output, axis)
    if (mode === 'nearest') {
      matrix[output * from + inside(rounding(place))] = 1
      continue
    }
    const { reach, weight } = kernels[mode]!
    const low = Math.floor(place) - reach + 1
    const near = Array.from({ length: 2 * reach }, (_, index) => low + index)
    const excludes = node.number('exclude_outside', 0) === 1
    const shares = near.map((input) =>
      excludes && inside(input) !== input
        ? 0
        : weight(place - input, node.number('cubic_coeff_a', -0.75)),
    )
    const total = excludes ? shares.reduce((sum, share) => sum + share, 0) : 1
    for (const [index, input] of near.entries())
      matrix[output * from + inside(input)]! += shares[index]! / total
  }
  return matrix
}

/** The product of a matrix [to, from] with one axis. */
function along(tf: Tf, x: TfTensor, matrix: TfTensor, axis: number): TfTensor {
  const order = [...x.shape.keys()].filter((other) => other !== axis)
  order.push(axis)
  const last = tf.transpose(x, order)
  const from = x.shape[axis]!
  const rows = tf.matMul(tf.reshape(last, [x.size / from, from]), matrix, false, true)
  const shape = [...last.shape.slice(0, -1), matrix.shape[0]!]
  const back = [...x.shape.keys()].map((place) => order.indexOf(place))
  return tf.transpose(tf.reshape(rows, shape), back)
}

/** Interpolation. */
export const resizing: Operators = {
  Resize: (context) => {
    const { tf, x, node } = context
    const scales = settled(context, 2)
    const sizes = settled(context, 3)
    const axes = node
      .numbers('axes', [...x.shape.keys()])
      .map((axis) => axisFromFront(axis, x.rank))
    if (node.string('keep_aspect_ratio_policy', 'stretch') !== 'stretch')
      return refuse(context, 'that keeps the aspect ratio')
    return axes.reduce((resized, axis, index) => {
      const from = x.shape[axis]!
      const scale = scales?.length ? scales[index]! : sizes![index]! / from
      const to = scales?.length ? Math.floor(from * scale) : sizes![index]!
      if (from === to && scale === 1) return resized
      const matrix = tf.tensor2d(matrixFor(context, { from, to, scale }), [to, from])
      return along(tf, resized, matrix, axis)
    }, x)
  },
}
