// Convolutions and pooling. TensorFlow.js wants channels last, and gradients without dilation.
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs'
import type { Node } from '../../../../onnx/graph.ts'
import {
  absolute,
  every,
  type Operator,
  type OperatorContext,
  type Operators,
  refuse,
  resized,
  sumOf,
} from '../operator.ts'
import type { Tf, TfTensor } from '../tensorflow.ts'
import { gatherRows } from './indexing.ts'

type Pair = [number, number]

/** How a window moves over the spatial axes, all lists in their order. */
interface Window {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  /** Elements to add before each axis, … */
  readonly begins: readonly number[]
  /** … and behind it, so that the last window just fits; what is negative is cut off. */
  readonly ends: readonly number[]
  /** What of `ends` counts as padding: the rest is what rounding up adds. */
  readonly counted: readonly number[]
  readonly outputs: readonly number[]
}

const ones = (count: number) => Array<number>(count).fill(1)

function windowOf(node: Node, sizes: readonly number[], kernel: readonly number[]): Window {
  const rank = sizes.length
  const strides = node.numbers('strides', ones(rank))
  const dilations = node.numbers('dilations', ones(rank))
  const pads = node.numbers('pads', Array<number>(2 * rank).fill(0))
  const automatic = node.string('auto_pad', 'NOTSET')
  const roundUp = node.number('ceil_mode', 0) === 1
  const axes = sizes.map((size, axis) => {
    const stride = strides[axis]!
    const extent = (kernel[axis]! - 1) * dilations[axis]! + 1
    let [begin, end] = [pads[axis]!, pads[axis + rank]!]
    if (automatic === 'VALID') [begin, end] = [0, 0]
    if (automatic.startsWith('SAME')) {
      const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size)
      begin = automatic === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)
      end = total - begin
    }
    const steps = (size + begin + end - extent) / stride
    const down = Math.floor(steps) + 1
    let output = roundUp ? Math.ceil(steps) + 1 : down
    // No window starts in the padding behind.
    if (roundUp && (output - 1) * stride >= size + begin) output--
    const needed = (output - 1) * stride + extent - size - begin
    return { begin, end: output === down ? end : needed, counted: end, output }
  })
  return {
    kernel,
    strides,
    dilations,
    begins: axes.map((axis) => axis.begin),
    ends: axes.map((axis) => axis.end),
    counted: axes.map((axis) => axis.counted),
    outputs: axes.map((axis) => axis.output),
  }
}

/** [N, C, …] with its spatial axes padded. */
const padded = (tf: Tf, x: TfTensor, { begins, ends }: Window, value = 0): TfTensor => {
  if ([...begins, ...ends].some((count) => count < 0))
    return begins.reduce(
      (wide, begin, axis) => resized(tf, wide, axis + 2, begin, ends[axis]!, value),
      x,
    )
  if ([...begins, ...ends].every((count) => count === 0)) return x
  const spatial = begins.map((begin, axis): Pair => [begin, ends[axis]!])
  return tf.pad(x, [[0, 0], [0, 0], ...spatial], value)
}

const channelsLast = (tf: Tf, x: TfTensor): Tensor4D => tf.transpose(x, [0, 2, 3, 1]) as Tensor4D
const channelsFirst = (tf: Tf, x: TfTensor): TfTensor => tf.transpose(x, [0, 3, 1, 2])

/** One spatial axis as the second of two. */
const flat = (tf: Tf, x: TfTensor): TfTensor =>
  x.rank === 3 ? tf.reshape(x, [x.shape[0]!, x.shape[1]!, 1, x.shape[2]!]) : x
const pair = (list: readonly number[], first: number): Pair =>
  (list.length === 1 ? [first, list[0]!] : list) as Pair

/** A kernel [kh, kw, a, b] with zeros between its rows and columns. */
function dilated(tf: Tf, kernel: TfTensor, dilations: Pair): TfTensor {
  return dilations.reduce((wide, dilation, axis) => {
    const count = wide.shape[axis]!
    if (dilation === 1 || count === 1) return wide
    const [before, after] = [wide.shape.slice(0, axis), wide.shape.slice(axis + 1)]
    const outer = before.reduce((product, dim) => product * dim, 1)
    const inner = after.reduce((product, dim) => product * dim, 1)
    const spread = resized(tf, tf.reshape(wide, [outer, count, 1, inner]), 2, 0, dilation - 1)
    const whole = tf.reshape(spread, [...before, count * dilation, ...after])
    return resized(tf, whole, axis, 0, 1 - dilation)
  }, kernel)
}

const withBias = (tf: Tf, y: TfTensor, bias: TfTensor | undefined): TfTensor =>
  bias ? tf.add(y, tf.reshape(bias, [bias.size, ...ones(y.rank - 2)])) : y

/** Cuts channels into groups, computes each, and joins them behind. */
function grouped(
  tf: Tf,
  group: number,
  tensors: readonly (readonly [tensor: TfTensor, axis: number])[],
  compute: (...parts: TfTensor[]) => TfTensor,
): TfTensor {
  if (group === 1) return compute(...tensors.map(([tensor]) => tensor))
  const parts = tensors.map(([tensor, axis]) => tf.split(tensor, group, axis))
  const results = Array.from({ length: group }, (_, index) =>
    compute(...parts.map((part) => part[index]!)),
  )
  return tf.concat(results, 3)
}

const convolution: Operator = (context) => {
  const { tf, x, inputs, node } = context
  const weight = inputs[1]!
  const spatial = x.rank - 2
  if (spatial > 2) return refuse(context, `over ${spatial} spatial axes`)
  const window = windowOf(node, x.shape.slice(2), weight.shape.slice(2))
  const input = channelsLast(tf, flat(tf, padded(tf, x, window)))
  const group = node.number('group', 1)
  const strides = pair(window.strides, window.strides[0]!)
  const dilations = pair(window.dilations, 1)
  const channels = input.shape[3]
  const y =
    group > 1 && group === channels
      ? depthwise(tf, input, flat(tf, weight), strides, dilations)
      : grouped(
          tf,
          group,
          [
            [input, 3],
            [dilated(tf, tf.transpose(flat(tf, weight), [2, 3, 1, 0]), dilations), 3],
          ],
          (part, kernel) => convolve(tf, part as Tensor4D, kernel as Tensor4D, strides),
        )
  const first = channelsFirst(tf, y)
  return withBias(
    tf,
    spatial === 1 ? tf.reshape(first, [first.shape[0]!, first.shape[1]!, first.shape[3]!]) : first,
    inputs[2],
  )
}

// The JavaScript kernels of a convolution's gradients take minutes where products of patches take seconds.
const byProducts = (tf: Tf) => tf.getBackend() === 'cpu'

/** x [N, H, W, C] with a kernel [kh, kw, C, M], without padding. */
function convolve(tf: Tf, x: Tensor4D, kernel: Tensor4D, strides: Pair): TfTensor {
  if (!byProducts(tf)) return tf.conv2d(x, kernel, strides, 'valid')
  const [height, width, channels, made] = kernel.shape
  const depth = height * width * channels
  const { pixels, outputs } = patches(tf, x, [height, width], strides)
  const product = tf.matMul(
    tf.reshape(pixels, [pixels.size / depth, depth]),
    tf.reshape(kernel, [depth, made]),
  )
  return tf.reshape(product, [x.shape[0], ...outputs, made])
}

/** The pixels of x [N, H, W, C] that a kernel meets, place by place for each output: [N · outputs · places, C]. */
function patches(
  tf: Tf,
  x: Tensor4D,
  kernel: Pair,
  strides: Pair,
): { pixels: TfTensor; outputs: Pair } {
  const [batch, height, width, channels] = x.shape
  const outputs = kernel.map(
    (extent, index) => Math.floor((x.shape[index + 1]! - extent) / strides[index]!) + 1,
  ) as Pair
  const at = new Int32Array(batch * outputs[0] * outputs[1] * kernel[0] * kernel[1])
  let next = 0
  for (let image = 0; image < batch; image++)
    for (let row = 0; row < outputs[0]; row++)
      for (let column = 0; column < outputs[1]; column++)
        for (let down = 0; down < kernel[0]; down++) {
          const line = image * height + row * strides[0] + down
          for (let right = 0; right < kernel[1]; right++)
            at[next++] = line * width + column * strides[1] + right
        }
  const all = tf.reshape(x, [batch * height * width, channels])
  return { pixels: gatherRows(tf, all, tf.tensor1d(at, 'int32')), outputs }
}

/** One kernel a channel, or several; weights [C · m, 1, kh, kw]. */
function depthwise(
  tf: Tf,
  input: Tensor4D,
  weight: TfTensor,
  strides: Pair,
  dilations: Pair,
): TfTensor {
  const channels = input.shape[3]
  const [all, , height, width] = weight.shape as [number, number, number, number]
  const cut = tf.reshape(weight, [channels, all / channels, height, width])
  const kernel = dilated(tf, tf.transpose(cut, [2, 3, 0, 1]), dilations) as Tensor4D
  if (byProducts(tf)) return depthwiseProducts(tf, input, kernel, strides)
  if (strides[0] === strides[1]) return tf.depthwiseConv2d(input, kernel, strides, 'valid')
  // TensorFlow strides both axes alike.
  const y: TfTensor = tf.depthwiseConv2d(input, kernel, 1, 'valid')
  return strides.reduce((kept, step, index) => {
    const count = Math.ceil(kept.shape[index + 1]! / step)
    return every(tf, kept, index + 1, { start: 0, step, count })
  }, y)
}

/** The same as one matrix product a channel: its patches by its kernels [kh, kw, C, m]. */
function depthwiseProducts(tf: Tf, x: Tensor4D, kernel: Tensor4D, strides: Pair): TfTensor {
  const [height, width, channels, many] = kernel.shape
  const { pixels, outputs } = patches(tf, x, [height, width], strides)
  const places = height * width
  const rows = pixels.shape[0]! / places
  const product = tf.matMul(
    tf.transpose(tf.reshape(pixels, [rows, places, channels]), [2, 0, 1]),
    tf.transpose(tf.reshape(kernel, [places, channels, many]), [1, 0, 2]),
  )
  return tf.reshape(tf.transpose(product, [1, 0, 2]), [x.shape[0], ...outputs, channels * many])
}

const transposedConvolution: Operator = (context) => {
  const { tf, x, inputs, node } = context
  const weight = inputs[1]!
  const spatial = x.rank - 2
  if (spatial > 2) return refuse(context, `over ${spatial} spatial axes`)
  const input = channelsLast(tf, flat(tf, x))
  const group = node.number('group', 1)
  const strides = pair(node.numbers('strides', ones(spatial)), 1)
  const dilations = pair(node.numbers('dilations', ones(spatial)), 1)
  // [C, M/group, kh, kw] to [kh, kw, M/group, C]
  const kernel = dilated(tf, tf.transpose(flat(tf, weight), [2, 3, 1, 0]), dilations)
  const full = [0, 1].map(
    (axis) => (input.shape[axis + 1]! - 1) * strides[axis]! + kernel.shape[axis]!,
  ) as Pair
  const y = grouped(
    tf,
    group,
    [
      [input, 3],
      [kernel, 3],
    ],
    (part, filter) =>
      tf.conv2dTranspose(
        part as Tensor4D,
        filter as Tensor4D,
        [part.shape[0]!, ...full, filter.shape[2]!],
        strides,
        'valid',
      ),
  )
  const [begins, outputs] = transposedWindow(node, x.shape.slice(2), full.slice(2 - spatial))
  const first = channelsFirst(tf, y)
  const whole: TfTensor =
    spatial === 1 ? tf.reshape(first, [first.shape[0]!, first.shape[1]!, first.shape[3]!]) : first
  const cut = begins.reduce(
    (rest, begin, axis) =>
      resized(tf, rest, axis + 2, -begin, outputs[axis]! + begin - whole.shape[axis + 2]!),
    whole,
  )
  return withBias(tf, cut, inputs[2])
}

/** What is cut off before each axis of a transposed convolution, and how much remains. */
function transposedWindow(
  node: Node,
  sizes: readonly number[],
  full: readonly number[],
): readonly [begins: number[], outputs: number[]] {
  const rank = sizes.length
  const strides = node.numbers('strides', ones(rank))
  const extra = node.numbers('output_padding', Array<number>(rank).fill(0))
  const pads = node.numbers('pads', Array<number>(2 * rank).fill(0))
  const wanted = node.numbers('output_shape')?.slice(-rank)
  const automatic = node.string('auto_pad', 'NOTSET')
  const begins: number[] = []
  const outputs: number[] = []
  for (const [axis, size] of sizes.entries()) {
    const all = full[axis]! + extra[axis]!
    const same = automatic.startsWith('SAME')
    const output =
      wanted?.[axis] ??
      (same
        ? size * strides[axis]!
        : automatic === 'VALID'
          ? all
          : all - pads[axis]! - pads[axis + rank]!)
    const total = Math.max(0, all - output)
    const shared = automatic === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)
    begins.push(same || wanted ? shared : automatic === 'VALID' ? 0 : pads[axis]!)
    outputs.push(output)
  }
  return [begins, outputs]
}

/** The elements under each place of a window, as tensors of the output's shape. */
function underWindow(tf: Tf, x: TfTensor, window: Window): TfTensor[] {
  return window.kernel.reduce(
    (parts, extent, axis) =>
      parts.flatMap((part) =>
        Array.from({ length: extent }, (_, place) =>
          every(tf, part, axis + 2, {
            start: place * window.dilations[axis]!,
            step: window.strides[axis]!,
            count: window.outputs[axis]!,
          }),
        ),
      ),
    [x],
  )
}

/** Pooling by an operator of TensorFlow.js where it can, else over shifted copies. */
function pool(
  context: OperatorContext,
  fill: number,
  compute: (x: Tensor4D, kernel: Pair, strides: Pair) => TfTensor,
  combine: (parts: readonly TfTensor[]) => TfTensor,
): { y: TfTensor; window: Window } {
  const { tf, x, node } = context
  const window = windowOf(node, x.shape.slice(2), node.numbers('kernel_shape', []))
  const wide = padded(tf, x, window, fill)
  if (x.rank > 4 || window.dilations.some((dilation) => dilation > 1))
    return { y: combine(underWindow(tf, wide, window)), window }
  const y = channelsFirst(
    tf,
    compute(channelsLast(tf, flat(tf, wide)), pair(window.kernel, 1), pair(window.strides, 1)),
  )
  return {
    y: x.rank === 3 ? tf.reshape(y, [y.shape[0]!, y.shape[1]!, y.shape[3]!]) : y,
    window,
  }
}

const maxPool: Operator = (context) => {
  const { tf, node } = context
  if (node.outputs[1]) return refuse(context, 'with indices')
  return pool(
    context,
    Number.NEGATIVE_INFINITY,
    (x, kernel, strides) => tf.maxPool<Tensor3D | Tensor4D>(x, kernel, strides, 'valid'),
    (parts) => parts.reduce((a, b) => tf.maximum(a, b)),
  ).y
}

/** The sum under a window. */
function sumPool(context: OperatorContext): { y: TfTensor; window: Window } {
  const { tf } = context
  return pool(
    context,
    0,
    (x, kernel, strides) =>
      tf.mul(tf.avgPool<Tensor3D | Tensor4D>(x, kernel, strides, 'valid'), kernel[0] * kernel[1]),
    (parts) => sumOf(tf, parts),
  )
}

const averagePool: Operator = (context) => {
  const { tf, x, node } = context
  const { y, window } = sumPool(context)
  const countsPads = node.number('count_include_pad', 0) === 1
  return tf.mul(y, shares(tf, x.shape.slice(2), window, countsPads))
}

/** One over how many elements each window covers. */
function shares(tf: Tf, sizes: readonly number[], window: Window, countsPads: boolean): TfTensor {
  const { kernel, strides, dilations, begins, counted, outputs } = window
  const perAxis = sizes.map((size, axis) => {
    const [low, high] = countsPads ? [-begins[axis]!, size + counted[axis]!] : [0, size]
    const counts = Array.from({ length: outputs[axis]! }, (_, output) => {
      const start = output * strides[axis]! - begins[axis]!
      const places = Array.from({ length: kernel[axis]! }, (__, k) => start + k * dilations[axis]!)
      return 1 / places.filter((place) => place >= low && place < high).length
    })
    const shape = [...ones(axis), counts.length, ...ones(sizes.length - axis - 1)]
    return tf.tensor(counts, shape, 'float32')
  })
  return perAxis.reduce((a, b) => tf.mul(a, b))
}

const power = (tf: Tf, x: TfTensor, p: number) =>
  p === 1 ? absolute(tf, x) : tf.pow(absolute(tf, x), p)
const root = (tf: Tf, x: TfTensor, p: number) => (p === 1 ? x : tf.pow(x, 1 / p))

/** Over windows. */
export const windows: Operators = {
  AveragePool: averagePool,
  Conv: convolution,
  ConvTranspose: transposedConvolution,
  GlobalAveragePool: ({ tf, x }) => tf.mean(x, [...x.shape.keys()].slice(2), true),
  GlobalLpPool: ({ tf, x, node }) => {
    const p = node.number('p', 2)
    return root(tf, tf.sum(power(tf, x, p), [...x.shape.keys()].slice(2), true), p)
  },
  GlobalMaxPool: ({ tf, x }) => tf.max(x, [...x.shape.keys()].slice(2), true),
  LpPool: (context) => {
    const { tf, x, node } = context
    const p = node.number('p', 2)
    return root(tf, sumPool({ ...context, x: power(tf, x, p) }).y, p)
  },
  MaxPool: maxPool,
}
