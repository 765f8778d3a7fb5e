// Convolutions and pools as TensorFlow pads them. Terms come and go with channels last; transposes stand around what
// ONNX wants with channels first, and the pass that follows cancels those that meet.
import { UserError } from '../../base/errors.ts'
import type { Attributes } from '../../onnx/build.ts'
import type { Dim } from '../../onnx/graph.ts'
import { arranged, channelsFirst, channelsLast } from './arrange.ts'
import { isFixed, productOf, range, shapeText, type Term } from './term.ts'
import type { Writer } from './writer.ts'

/** `same` and `valid` as TensorFlow means them, or elements before and after each axis. */
export type Padding = 'same' | 'valid' | readonly (readonly [before: number, after: number])[]

/** How a window moves over the axes of space; all lists have one entry an axis. */
export interface Window {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly padding: Padding
}

/** What a convolution is told besides its operands. */
export interface ConvolutionOptions {
  readonly window: Omit<Window, 'kernel'>
  readonly bias?: Term | undefined
  readonly name?: string | undefined
}

/**
 * Convolution of `[N, …space, C]` with a kernel `[…space, C / groups, outputs]`.
 *
 * The number of groups follows from the channels.
 */
export function convolution(w: Writer, x: Term, kernel: Term, options: ConvolutionOptions): Term {
  const rank = x.shape.length - 2
  const [channels, perGroup, outputs] = [x.shape.at(-1), ...kernel.shape.slice(rank)]
  if (typeof channels !== 'number' || typeof perGroup !== 'number')
    throw unknownSize(w, options.name, 'channels of a convolution', x)
  const weight = arranged(w, kernel, [rank + 1, rank, ...range(rank)])
  return convolve(w, x, weight, options, { group: channels / perGroup, outputs })
}

/** Convolution of each channel by itself: kernel `[height, width, C, multiplier]`. */
export function depthwiseConvolution(
  w: Writer,
  x: Term,
  kernel: Term,
  options: ConvolutionOptions,
): Term {
  const [height, width, channels, multiplier] = kernel.shape
  if (!isFixed(kernel.shape)) throw unknownSize(w, options.name, 'kernel', kernel)
  const outputs = productOf([channels, multiplier]) as number
  const dims = [outputs, 1, height as number, width as number]
  const weight = arranged(w, kernel, [2, 3, 0, 1], dims)
  return convolve(w, x, weight, options, { group: channels as number, outputs })
}

function convolve(
  w: Writer,
  x: Term,
  weight: Term,
  { window, bias, name }: ConvolutionOptions,
  { group, outputs }: { readonly group: number; readonly outputs: Dim },
): Term {
  const kernel: readonly Dim[] = weight.shape.slice(2)
  if (!isFixed(kernel)) throw unknownSize(w, name, 'kernel', weight)
  const first = channelsFirst(w, x)
  const { attributes, space } = placed({ ...window, kernel }, first.shape.slice(2))
  const made = w.emit(
    'Conv',
    [first, weight, bias],
    { dtype: 'float32', shape: [x.shape[0], outputs, ...space] },
    { name, attributes: { ...attributes, ...(group > 1 && { group }) } },
  )
  return channelsLast(w, made)
}

/** Transposed convolution with a kernel `[height, width, outputs, C]`; `valid` or `same`. */
export function transposedConvolution(
  w: Writer,
  x: Term,
  kernel: Term,
  options: ConvolutionOptions & { readonly space?: readonly Dim[] },
): Term {
  const { window, bias, name } = options
  const sizes: readonly Dim[] = kernel.shape.slice(0, 2)
  if (!isFixed(sizes)) throw unknownSize(w, name, 'kernel', kernel)
  const first = channelsFirst(w, x)
  // It is the gradient of a convolution over the output, whose padding is that of its input's size.
  const axes = sizes.map((size, axis) => {
    const stride = window.strides[axis]!
    const input = first.shape[axis + 2]
    const wanted = options.space?.[axis]
    const natural = typeof input === 'number' ? (input - 1) * stride + size : undefined
    const output =
      typeof wanted === 'number'
        ? wanted
        : typeof input !== 'number'
          ? undefined
          : input * stride + (window.padding === 'same' ? 0 : Math.max(size - stride, 0))
    const excess =
      natural !== undefined && output !== undefined
        ? natural - output
        : window.padding === 'same'
          ? size - stride
          : Math.min(0, size - stride)
    const total = Math.max(excess, 0)
    const before = window.padding === 'same' ? Math.floor(total / 2) : 0
    return { stride, output, before, after: total - before, more: Math.max(-excess, 0) }
  })
  const pads = [...axes.map(({ before }) => before), ...axes.map(({ after }) => after)]
  const shape = [x.shape[0], kernel.shape[2], ...axes.map(({ output }) => output)]
  const made = w.emit(
    'ConvTranspose',
    [first, arranged(w, kernel, [3, 2, 0, 1]), bias],
    { dtype: 'float32', shape },
    {
      name,
      attributes: {
        kernel_shape: sizes,
        strides: axes.map(({ stride }) => stride),
        pads,
        output_padding: axes.map(({ more }) => more),
      },
    },
  )
  return channelsLast(w, made)
}

/** The largest or the mean element of each window; padding counts for neither. */
export function pool(
  w: Writer,
  x: Term,
  kind: 'MaxPool' | 'AveragePool',
  window: Window,
  name?: string,
): Term {
  const first = channelsFirst(w, x)
  const { attributes, space } = placed(window, first.shape.slice(2))
  const shape = [...first.shape.slice(0, 2), ...space]
  return channelsLast(w, w.emit(kind, [first], { dtype: x.dtype, shape }, { name, attributes }))
}

/** A window's attributes and the sizes of space behind it. */
function placed(window: Window, space: readonly Dim[]): { attributes: Attributes; space: Dim[] } {
  const { kernel, strides, dilations, padding } = window
  const axes = kernel.map((size, axis) => {
    const reach = (size - 1) * dilations[axis]! + 1
    return placedAxis(reach, strides[axis]!, space[axis], padding, axis)
  })
  const pads = [...axes.map(({ before }) => before), ...axes.map(({ after }) => after)]
  const attributes: Attributes = {
    kernel_shape: kernel,
    ...(strides.some((stride) => stride !== 1) && { strides }),
    ...(dilations.some((dilation) => dilation !== 1) && { dilations }),
    ...(pads.includes(undefined)
      ? { auto_pad: 'SAME_UPPER' }
      : pads.some((each) => each !== 0) && { pads: pads as number[] }),
  }
  return { attributes, space: axes.map(({ size }) => size) }
}

/** `reach` is the elements that a window spans; pads are unknown where they depend on a size that is. */
function placedAxis(reach: number, stride: number, dim: Dim, padding: Padding, axis: number) {
  if (padding === 'same') {
    if (typeof dim !== 'number' && stride > 1)
      return { before: undefined, after: undefined, size: undefined }
    const size = typeof dim === 'number' ? Math.ceil(dim / stride) : dim
    const total =
      typeof dim === 'number' ? Math.max((Number(size) - 1) * stride + reach - dim, 0) : reach - 1
    const before = Math.floor(total / 2)
    return { before, after: total - before, size }
  }
  const [before, after] = padding === 'valid' ? [0, 0] : padding[axis]!
  const size =
    typeof dim === 'number'
      ? Math.floor((dim + before + after - reach) / stride) + 1
      : reach === 1 && stride === 1
        ? dim
        : undefined
  return { before, after, size }
}

const unknownSize = (w: Writer, name: string | undefined, what: string, x: Term): UserError =>
  new UserError(
    `${w.where}: ${name ?? 'node'}: unknown size of the ${what}: ${shapeText(x.shape)} — convert the model with fixed sizes`,
  )
