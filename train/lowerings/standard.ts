// The portable lowering: standard operators only, right on every provider; the reference for all others.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { extent, rest, taps } from '../convolution.ts'
import type { Convolution, Lowering } from './lowering.ts'

/** Gradients of convolutions of any rank, stride, padding, dilation and group in standard operators. */
export const standard: Lowering = {
  name: 'standard',
  convolution: () => undefined,
  // A full convolution with the turned weight is faster where nothing has to be spread apart.
  convolutionInput: (g, convolution, dy) =>
    convolution.strides.every((stride) => stride === 1)
      ? turnedConvolution(g, convolution, dy)
      : transposedConvolution(g, convolution, dy),
  convolutionWeight: (g, convolution, dy) =>
    sizeOf(convolution.kernel) > mostCopies
      ? swappedConvolution(g, convolution, dy)
      : unfoldedProduct(g, convolution, dy),
}

/** Kernels of more cells than this would be unfolded into too many nodes. */
const mostCopies = 64

/** dx = ConvTranspose(dy, w): the definition. */
function transposedConvolution(g: Builder, convolution: Convolution, dy: Value): Value {
  const { w, kernel, strides, dilations, begin, end, group } = convolution
  return g.ConvTranspose(dy, w, {
    kernel_shape: kernel,
    strides,
    dilations,
    pads: [...begin, ...end],
    output_padding: rest(convolution),
    group,
  })
}

/** dx = Conv(dy, w turned by 180° with its channel axes swapped), for stride 1. */
function turnedConvolution(g: Builder, convolution: Convolution, dy: Value): Value {
  const { w, wShape, kernel, dilations, begin, end, group } = convolution
  const [outputs, inputs] = [wShape[0]! / group, wShape[1]!]
  const spatial = kernel.map((_, axis) => axis + 3)
  const grouped = group === 1 ? w : g.Reshape(w, [group, outputs, inputs, ...kernel])
  const swapped =
    group === 1
      ? g.Transpose(grouped, { perm: [1, 0, ...spatial.map((axis) => axis - 1)] })
      : g.Reshape(g.Transpose(grouped, { perm: [0, 2, 1, ...spatial] }), [
          group * inputs,
          outputs,
          ...kernel,
        ])
  const turned = sizeOf(kernel) === 1 ? swapped : reversed(g, swapped, kernel)
  const reach = extent(convolution)
  // More padding than the window is wide would need negative pads: cut the gradient instead.
  const before = begin.map((pad, axis) => reach[axis]! - 1 - pad)
  const after = end.map((pad, axis) => reach[axis]! - 1 - pad)
  const cut = [...before, ...after].some((pad) => pad < 0)
  const source = cut ? g.Pad(dy, [0, 0, ...before.map(negative), 0, 0, ...after.map(negative)]) : dy
  return g.Conv(source, turned, {
    kernel_shape: kernel,
    dilations,
    pads: [...before, ...after].map((pad) => Math.max(pad, 0)),
    group,
  })
}

const negative = (pad: number) => Math.min(pad, 0)

/** Reverses the spatial axes of a weight. */
function reversed(g: Builder, w: Value, kernel: readonly number[]): Value {
  const axes = kernel.map((_, axis) => axis + 2)
  const past = kernel.map(() => -1 - 2 ** 31)
  return g.Slice(
    w,
    axes.map(() => -1),
    past,
    axes,
    axes.map(() => -1),
  )
}

/**
 * dw = dy · unfolded(x): one matrix product (one a group) of the output gradient with the input's shifted copies.
 *
 * The unfolded input is [group, C/group · taps, N · positions], the gradient [group, O/group, N · positions].
 */
function unfoldedProduct(g: Builder, convolution: Convolution, dy: Value): Value {
  const { x, xShape, wShape, yShape, kernel, strides, dilations, begin, end, group } = convolution
  const [batch, channels] = [xShape[0]!, xShape[1]!]
  const [outputs, inputs] = [wShape[0]!, wShape[1]!]
  const spatialAxes = kernel.map((_, axis) => axis + 2)
  const positions = batch * sizeOf(yShape.slice(2))
  const channelsFirst = { perm: [1, 0, ...spatialAxes] }

  const padded = [...begin, ...end].some((pad) => pad !== 0)
    ? g.Pad(x, [0, 0, ...begin, 0, 0, ...end])
    : x
  const source = g.Transpose(padded, channelsFirst)
  const shifted = taps(kernel).map((tap) => {
    const starts = tap.map((index, axis) => index * dilations[axis]!)
    const ends = starts.map((start, axis) => start + (yShape[axis + 2]! - 1) * strides[axis]! + 1)
    const whole = starts.every(
      (start, axis) =>
        start === 0 &&
        strides[axis] === 1 &&
        ends[axis] === xShape[axis + 2]! + begin[axis]! + end[axis]!,
    )
    const copy = whole ? source : g.Slice(source, starts, ends, spatialAxes, strides)
    return g.Reshape(copy, [channels, 1, positions])
  })
  const unfolded = shifted.length === 1 ? shifted[0]! : g.Concat(...shifted, { axis: 1 })
  const gradient = g.Transpose(dy, channelsFirst)
  if (group === 1) {
    const columns = g.Reshape(unfolded, [channels * shifted.length, positions])
    const rows = g.Reshape(gradient, [outputs, positions])
    return g.Reshape(g.Gemm(rows, columns, { transB: 1 }), wShape)
  }
  const columns = g.Reshape(unfolded, [group, inputs * shifted.length, positions])
  const rows = g.Reshape(gradient, [group, outputs / group, positions])
  return g.Reshape(g.MatMul(rows, g.Transpose(columns, { perm: [0, 2, 1] })), wShape)
}

/**
 * dw = Conv(x, dy) with samples and channels in each other's place, strides and dilations too: slower, but as many
 * nodes for any kernel.
 */
function swappedConvolution(g: Builder, convolution: Convolution, dy: Value): Value {
  const { x, xShape, wShape, yShape, kernel, strides, dilations, begin, end, group } = convolution
  const [batch, inputs, outputs] = [xShape[0]!, wShape[1]!, wShape[0]!]
  const spatial = kernel.map((_, axis) => axis + 3)
  const images = g.Reshape(x, [batch, group, inputs, ...xShape.slice(2)])
  const gradients = g.Reshape(dy, [batch, group, outputs / group, ...yShape.slice(2)])
  const found = g.Conv(
    g.Reshape(g.Transpose(images, { perm: [2, 1, 0, ...spatial] }), [
      inputs,
      group * batch,
      ...xShape.slice(2),
    ]),
    g.Reshape(g.Transpose(gradients, { perm: [1, 2, 0, ...spatial] }), [
      outputs,
      batch,
      ...yShape.slice(2),
    ]),
    { strides: dilations, dilations: strides, pads: [...begin, ...end], group },
  )
  // Cells behind the last window make more positions than the kernel has.
  const axes = kernel.map((_, axis) => axis + 2)
  const cut = g.Slice(
    found,
    kernel.map(() => 0),
    kernel,
    axes,
  )
  return g.Transpose(cut, { perm: [1, 0, ...axes] })
}
