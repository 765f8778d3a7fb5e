// Operators that turn blocks of space into channels or samples.
import { channelsFirst, channelsLast, farEnd, pad, reshape, slice, transpose } from '../arrange.ts'
import { range, type Term } from '../term.ts'
import { integers, type OperatorCall, type OperatorRule, refused } from './node.ts'

/** Channels become blocks of space; the place in the block counts before the channel, as in ONNX's DCR. */
function depthToSpace(call: OperatorCall): Term {
  const { w, node, x } = call
  if (node.text('data_format', 'NHWC') !== 'NHWC')
    throw refused(call, 'channels first', 'convert the model with channels last')
  const blocksize = node.number('block_size', 2)
  const first = channelsFirst(w, x)
  const [batch, channels, ...space] = first.shape
  const depth = typeof channels === 'number' ? channels / blocksize ** 2 : undefined
  const grown = space.map((dim) => (typeof dim === 'number' ? dim * blocksize : undefined))
  const made = w.emit(
    'DepthToSpace',
    [first],
    { dtype: x.dtype, shape: [batch, depth, ...grown] },
    { attributes: { blocksize } },
  )
  return channelsLast(w, made)
}

/** The places of a block, which TensorFlow puts before the batch, and what is added around or cut off. */
function blocksOf(call: OperatorCall, what: 'paddings' | 'crops') {
  const { x } = call
  const sizes = integers(call, 1, 'block sizes')
  const list = integers(call, 2, what)
  const borders = sizes.map((_, axis) => [list[2 * axis] ?? 0, list[2 * axis + 1] ?? 0] as const)
  const axes = sizes.map((_, axis) => axis + 1)
  const rest = range(x.shape.length).filter((axis) => axis > sizes.length)
  return { sizes, borders, axes, rest }
}

/** Space cut into blocks whose places become samples: what a dilated convolution was written as. */
function spaceToBatch(call: OperatorCall): Term {
  const { w, x } = call
  const { sizes, borders, axes, rest } = blocksOf(call, 'paddings')
  const padded = pad(w, x, [[0, 0], ...borders, ...rest.map(() => [0, 0] as const)])
  const space = axes.map((axis, index) => {
    const dim = padded.shape[axis]
    return typeof dim === 'number' ? dim / sizes[index]! : undefined
  })
  const others = rest.map((axis) => x.shape[axis])
  // [N, h/b, b, w/b, b, …] with the places within a block in front.
  const parts = reshape(w, padded, [
    x.shape[0],
    ...space.flatMap((dim, index) => [dim, sizes[index]]),
    ...others,
  ])
  const inner = axes.map((_, index) => 2 * index + 2)
  const outer = axes.map((_, index) => 2 * index + 1)
  const last = rest.map((_, index) => 2 * axes.length + 1 + index)
  const moved = transpose(w, parts, [...inner, 0, ...outer, ...last])
  return reshape(w, moved, [undefined, ...space, ...others])
}

/** The other way. */
function batchToSpace(call: OperatorCall): Term {
  const { w, x } = call
  const { sizes, borders, axes, rest } = blocksOf(call, 'crops')
  const space = axes.map((axis) => x.shape[axis])
  const others = rest.map((axis) => x.shape[axis])
  const count = axes.length
  const parts = reshape(w, x, [...sizes, undefined, ...space, ...others])
  const order = axes.flatMap((_, index) => [count + 1 + index, index])
  const last = rest.map((_, index) => 2 * count + 1 + index)
  const moved = transpose(w, parts, [count, ...order, ...last])
  const grown = space.map((dim, index) =>
    typeof dim === 'number' ? dim * sizes[index]! : undefined,
  )
  const whole = reshape(w, moved, [undefined, ...grown, ...others])
  const cuts = axes.map((axis, index) => {
    const [start, after] = borders[index]!
    return { axis, start, end: after === 0 ? farEnd : -after, step: 1 }
  })
  return slice(w, whole, cuts)
}

/** Operators that turn blocks of space into channels or samples. */
export const blockOperators: Readonly<Record<string, OperatorRule>> = {
  SpaceToBatchND: spaceToBatch,
  BatchToSpaceND: batchToSpace,
  DepthToSpace: depthToSpace,
}
