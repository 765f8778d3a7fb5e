// The geometry of a convolution or pooling node: explicit pads, strides and dilations for every spatial axis.
import { UserError } from '../base/errors.ts'
import type { Node } from '../onnx/graph.ts'

/** One window operation; every list has one entry per spatial axis. */
export interface Window {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  /** Zeros before and after each axis. */
  readonly begin: readonly number[]
  readonly end: readonly number[]
  readonly input: readonly number[]
  readonly output: readonly number[]
}

/**
 * Reads the window of a Conv or pooling node, with `auto_pad` resolved.
 *
 * Where rounding up would add a window that begins in the padding, ONNX Runtime leaves it out but infers a shape with
 * it: such a node is a {@link UserError}.
 */
export function windowOf(
  node: Node,
  kernel: readonly number[],
  inputShape: readonly number[],
  outputShape: readonly number[],
): Window {
  const input = inputShape.slice(2)
  const output = outputShape.slice(2)
  const ones = input.map(() => 1)
  const strides = node.numbers('strides', ones)
  const dilations = node.numbers('dilations', ones)
  const autoPad = node.string('auto_pad', 'NOTSET')
  const explicit = node.numbers('pads', [...input, ...input].fill(0))
  const rank = input.length
  if (autoPad === 'NOTSET' || autoPad === 'VALID') {
    const pads = autoPad === 'VALID' ? explicit.map(() => 0) : explicit
    if (
      node.number('ceil_mode', 0) &&
      output.some((size, axis) => (size - 1) * strides[axis]! >= input[axis]! + pads[axis]!)
    )
      throw new UserError(
        `node '${node.name}' (${node.opType}): its last window would lie in the padding alone: ONNX Runtime computes another shape than it infers — export the model with ceil_mode 0`,
      )
    return {
      kernel,
      strides,
      dilations,
      begin: pads.slice(0, rank),
      end: pads.slice(rank),
      input,
      output,
    }
  }
  // SAME: as much padding as gives ceil(input / stride) outputs, the odd one at the end for SAME_UPPER.
  const total = input.map((size, axis) =>
    Math.max(
      0,
      (output[axis]! - 1) * strides[axis]! + (kernel[axis]! - 1) * dilations[axis]! + 1 - size,
    ),
  )
  const small = total.map((pad) => Math.floor(pad / 2))
  const large = total.map((pad, axis) => pad - small[axis]!)
  const [begin, end] = autoPad === 'SAME_UPPER' ? [small, large] : [large, small]
  return { kernel, strides, dilations, begin, end, input, output }
}

/**
 * Reads the window of a ConvTranspose node, seen from its output: that of the convolution which leads from there back.
 *
 * The padding behind is as much as the last window needs; what ONNX says of it shows in the shape of the output.
 */
export function transposedWindowOf(
  node: Node,
  kernel: readonly number[],
  inputShape: readonly number[],
  outputShape: readonly number[],
): Window {
  const [input, output] = [outputShape.slice(2), inputShape.slice(2)]
  const ones = input.map(() => 1)
  const strides = node.numbers('strides', ones)
  const dilations = node.numbers('dilations', ones)
  const autoPad = node.string('auto_pad', 'NOTSET')
  const added = node.numbers(
    'output_padding',
    input.map(() => 0),
  )
  const explicit = node.numbers('pads', [...input, ...input].fill(0))
  const derived = node.numbers('output_shape', []).length > 0 || autoPad.startsWith('SAME')
  // How far the windows of all inputs reach.
  const reach = output.map(
    (size, axis) => (size - 1) * strides[axis]! + (kernel[axis]! - 1) * dilations[axis]! + 1,
  )
  const begin = input.map((size, axis) => {
    if (!derived) return autoPad === 'VALID' ? 0 : explicit[axis]!
    const total = Math.max(0, reach[axis]! + added[axis]! - size)
    return autoPad === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)
  })
  const end = input.map((size, axis) => Math.max(0, reach[axis]! - size - begin[axis]!))
  return { kernel, strides, dilations, begin, end, input, output }
}

/** How far the window reaches along each axis. */
export const extent = (window: Window): readonly number[] =>
  window.kernel.map((size, axis) => (size - 1) * window.dilations[axis]! + 1)

/** The cells behind the last window along each axis that no window touches; negative where windows reach past the pads. */
export const rest = (window: Window): readonly number[] => {
  const reach = extent(window)
  return window.input.map(
    (size, axis) =>
      size +
      window.begin[axis]! +
      window.end[axis]! -
      ((window.output[axis]! - 1) * window.strides[axis]! + reach[axis]!),
  )
}

/** Every combination of kernel positions, row-major. */
export function taps(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (list, size) =>
      list.flatMap((tap) => Array.from({ length: size }, (_, index) => [...tap, index])),
    [[]],
  )
}
