// Which channels hang together, operator by operator: the one table that pruning, shrinking and inspection ask.
// A rule ties axes index by index; an axis that no tie of a node mentions must stay whole, so that what a rule leaves
// out can never be cut wrongly. (Dependency groups: Fang et al. 2023, DepGraph.)
import { statedShape } from '../onnx/cost.ts'
import { constantOf, type Node, type Value } from '../onnx/graph.ts'
import { numbers, type Tensor, tensorOf } from '../onnx/tensor.ts'
import { reshapedAxes } from './reshape.ts'
import {
  axesOf,
  broadcastAxes,
  keptAxes,
  type Role,
  remainingAxes,
  slot,
  type Tie,
  type Ties,
  tie,
} from './ties.ts'

/** What a rule may ask and do after a cut. */
export interface Change {
  /** The size of an axis after the cut. */
  sizeOf(value: Value, axis: number): number
  /** Gives one input of the node a constant of its own. */
  replace(input: number, tensor: Tensor): void
}

/** What is known of the channels of an operator. */
export interface Rule {
  /** The ties of a node whose shapes are all known, or the reason why there are none. */
  readonly ties: (node: Node) => Ties | string
  /** Brings attributes and shape constants in line after a cut. */
  readonly adjust?: (node: Node, change: Change) => void
}

/** Every index of every axis stays where it is. */
const elementwise: Rule = { ties: (node) => ({ ties: keptAxes(node) }) }

/** Elementwise over inputs that broadcast; `role` is what constants among them are. */
const broadcasting = (role: Role): Rule => ({
  ties: (node) => ({
    ties: node.inputs.flatMap((input) => (input ? broadcastAxes(input, node.output(), role) : [])),
  }),
})

/** The axes that a node works along are mixed, all others stay; a string says why that is not known. */
const mixing = (mixed: (node: Node, rank: number) => readonly number[] | string): Rule => ({
  ties: (node) => {
    const axes = mixed(node, axesOf(node.input(0)).length)
    if (typeof axes === 'string') return axes
    return { ties: keptAxes(node, (axis) => !axes.includes(axis)) }
  },
})

/** Batch and channels stay, the spatial axes are pooled. */
const pooling = mixing((_, rank) => range(2, rank))

/** X `[N, C, …]`, W `[M, C / group, …]`, B `[M]`, Y `[N, M, …]`. */
const convolution: Rule = {
  ties(node) {
    const [x, w, y] = [node.input(0), node.input(1), node.output()]
    const [made = 0, taken = 0] = statedShape(w) ?? []
    const group = node.number('group', 1)
    const ties = [tie(slot(x, 0), slot(y, 0)), tie(slot(y, 1), slot(w, 0), 'out'), ...bias(node)]
    if (group === 1) return { ties: [...ties, tie(slot(x, 1), slot(w, 1), 'in')] }
    const each = made / group
    // Depthwise: a channel leaves together with the filters that it has of its own.
    if (taken === 1)
      return {
        ties: [...ties, { from: slot(y, 1), to: slot(x, 1), map: (m) => Math.floor(m / each) }],
      }
    // The filters of all groups have one shape, so that every group loses the same channels.
    return {
      ties: [
        ...ties,
        { from: slot(x, 1), to: slot(w, 1), map: (c) => c % taken, role: 'in' },
        { from: slot(y, 1), to: slot(y, 1), map: (m) => m % each },
      ],
    }
  },
  adjust(node, { sizeOf }) {
    // The number of groups stays, except that a depthwise convolution has one for each channel.
    const group = node.attributes.get('group')
    if (group && node.number('group', 1) > 1 && sizeOf(node.input(1), 1) === 1)
      node.attributes.set('group', { type: 'int', value: sizeOf(node.input(0), 1) })
  },
}

/** X `[N, C, …]`, W `[C, M / group, …]`, B `[M]`, Y `[N, M, …]`. */
const transposedConvolution: Rule = {
  ties(node) {
    if (node.number('group', 1) !== 1) return 'is a transposed convolution in groups'
    const [x, w, y] = [node.input(0), node.input(1), node.output()]
    return {
      ties: [
        tie(slot(x, 0), slot(y, 0)),
        tie(slot(y, 1), slot(w, 1), 'out'),
        ...bias(node),
        tie(slot(x, 1), slot(w, 0), 'in'),
      ],
    }
  },
}

/** The third input of a convolution, one element for each channel made. */
const bias = (node: Node): Tie[] =>
  node.inputs[2] ? [tie(slot(node.output(), 1), slot(node.input(2), 0), 'bias')] : []

/** Y `[M, N]` = A' `[M, K]` B' `[K, N]` + C; A' and B' are stored transposed where the attributes say so. */
const gemm: Rule = {
  ties(node) {
    const [a, b, y] = [node.input(0), node.input(1), node.output()]
    const [m, k] = node.number('transA', 0) ? [1, 0] : [0, 1]
    const [inner, n] = node.number('transB', 0) ? [1, 0] : [0, 1]
    return {
      ties: [
        tie(slot(y, 0), slot(a, m)),
        tie(slot(y, 1), slot(b, n), 'out'),
        tie(slot(a, k), slot(b, inner), 'in'),
        ...(node.inputs[2] ? broadcastAxes(node.input(2), y, 'bias') : []),
      ],
    }
  },
}

/** Y `[…, M, N]` = A `[…, M, K]` B `[…, K, N]`, the leading axes broadcast; either may be the weight. */
const matMul: Rule = {
  ties(node) {
    const [a, b, y] = [node.input(0), node.input(1), node.output()]
    if (axesOf(a).length < 2 || axesOf(b).length < 2) return 'multiplies with a vector'
    const [m, n] = [slot(y, -2), slot(y, -1)]
    const leading = [a, b].flatMap((value) =>
      broadcastAxes(value, y, 'other').filter(({ from }) => from.axis < m.axis),
    )
    // Whichever of the two is constant takes the channels, and its other axis makes them.
    return {
      ties: [
        ...leading,
        tie(m, slot(a, -2), 'out'),
        tie(n, slot(b, -1), 'out'),
        tie(slot(a, -1), slot(b, -2), 'in'),
        tie(slot(b, -2), slot(a, -1), 'in'),
      ],
    }
  },
}

/** Scale, bias, mean and variance have one element for each index of axis 1. */
const batchNormalization: Rule = {
  ties(node) {
    if (node.number('training_mode', 0)) return 'is in training mode'
    const roles = ['scale', 'bias', 'other', 'other'] as const
    const channels = slot(node.output(), 1)
    return {
      ties: [
        ...keptAxes(node),
        ...roles.map((role, index) => tie(channels, slot(node.input(index + 1), 0), role)),
      ],
    }
  },
}

/** The inputs lie one after the other along the axis. */
const concat: Rule = {
  ties(node) {
    const output = node.output()
    const joined = slot(output, node.number('axis', 0)).axis
    let offset = 0
    const ties = node.inputs.flatMap((input): Tie[] => {
      if (!input) return []
      const start = offset
      offset += statedShape(input)?.[joined] ?? 0
      return axesOf(input).map((axis) => ({
        from: slot(input, axis),
        to: slot(output, axis),
        map: (index) => (axis === joined ? start + index : index),
      }))
    })
    return { ties }
  },
}

const transpose: Rule = {
  ties(node) {
    const axes = axesOf(node.input(0))
    const order = node.numbers('perm', axes.toReversed())
    return {
      ties: order.map((from, to) => tie(slot(node.input(0), from), slot(node.output(), to))),
    }
  },
}

/** Reduced axes are mixed; where they are dropped, the axes after them move up. */
const reduction: Rule = {
  ties(node) {
    const axes = namedAxes(node, node.input(0))
    if (!axes) return 'computes its axes'
    const all = axes.length === 0 && node.number('noop_with_empty_axes', 0) === 0
    const reduced = new Set(all ? axesOf(node.input(0)) : axes)
    const dropped = node.number('keepdims', 1) === 0
    return { ties: remainingAxes(node.input(0), node.output(), reduced, dropped) }
  },
}

const squeeze: Rule = {
  ties(node) {
    const axes = namedAxes(node, node.input(0))
    if (!axes) return 'computes its axes'
    // Channels that were cut down to one would be squeezed, too.
    if (axes.length === 0) return 'squeezes whatever has size 1'
    return { ties: remainingAxes(node.input(0), node.output(), new Set(axes), true) }
  },
}

const unsqueeze: Rule = {
  ties(node) {
    const axes = namedAxes(node, node.output())
    if (!axes) return 'computes its axes'
    return { ties: remainingAxes(node.output(), node.input(0), new Set(axes), true) }
  },
}

/** An axis keeps its indices apart when nothing is put before or after it. */
const pad = mixing((node, rank) => {
  const amounts = numbersOf(node, 1, 'pads')
  const chosen = numbersOf(node, 3, 'axes')
  if (!amounts || !chosen) return 'computes its padding'
  const axes = chosen.length > 0 ? chosen.map((axis) => (axis + rank) % rank) : range(0, rank)
  return axes.filter((_, index) => amounts[index] !== 0 || amounts[index + axes.length] !== 0)
})

/** Before opset 13 every axis from the given one on was mixed, and the default was 1. */
const softmax = mixing((node, rank) => {
  const axis = node.number('axis', 1)
  return range(axis < 0 ? axis + rank : axis, rank)
})

const slice = mixing((node, rank) => {
  const starts = numbersOf(node, 1, 'starts')
  const axes = numbersOf(node, 3, 'axes')
  if (!starts || !axes) return 'computes its axes'
  return axes.length > 0 ? axes.map((axis) => (axis + rank) % rank) : range(0, starts.length)
})

const reshape: Rule = {
  ties: (node) => (numbersOf(node, 1, 'shape') ? reshapedAxes(node) : 'computes its shape'),
  adjust(node, { sizeOf, replace }) {
    const before = numbersOf(node, 1, 'shape') ?? []
    // Zeros and -1 follow the input by themselves.
    const after = before.map((size, axis) => (size > 0 ? sizeOf(node.output(), axis) : size))
    if (after.every((size, axis) => size === before[axis])) return
    if (node.inputs[1]) replace(1, tensorOf('int64', [after.length], after))
    else node.attributes.set('shape', { type: 'ints', value: after })
  },
}

/** Numbers that are an input or, in older opsets, an attribute; [] where absent, undefined where computed. */
function numbersOf(node: Node, input: number, attribute: string): readonly number[] | undefined {
  if (!node.inputs[input]) return node.numbers(attribute, [])
  const tensor = constantOf(node.inputs[input])
  return tensor && numbers(tensor)
}

/** The axes that a node names, as axes of a value; [] where it names none, undefined where it computes them. */
const namedAxes = (node: Node, value: Value): readonly number[] | undefined =>
  numbersOf(node, 1, 'axes')?.map((axis) => slot(value, axis).axis)

const range = (start: number, end: number): number[] =>
  Array.from({ length: Math.max(0, end - start) }, (_, index) => start + index)

/** The rule of every operator (of the standard domain) whose channels can be followed. */
export const rules: Readonly<Record<string, Rule>> = {
  Conv: convolution,
  ConvTranspose: transposedConvolution,
  Gemm: gemm,
  MatMul: matMul,
  BatchNormalization: batchNormalization,
  Concat: concat,
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Flatten: { ties: reshapedAxes },
  Reshape: reshape,
  Pad: pad,
  Slice: slice,
  Softmax: softmax,
  LogSoftmax: softmax,

  MaxPool: pooling,
  AveragePool: pooling,
  LpPool: pooling,
  GlobalAveragePool: pooling,
  GlobalMaxPool: pooling,
  InstanceNormalization: {
    ties: (node) => ({
      ties: [
        ...keptAxes(node, (axis) => axis < 2),
        tie(slot(node.output(), 1), slot(node.input(1), 0), 'scale'),
        tie(slot(node.output(), 1), slot(node.input(2), 0), 'bias'),
      ],
    }),
  },

  ReduceMean: reduction,
  ReduceSum: reduction,
  ReduceMax: reduction,
  ReduceMin: reduction,
  ReduceL1: reduction,
  ReduceL2: reduction,
  ReduceProd: reduction,
  ReduceSumSquare: reduction,

  Add: broadcasting('bias'),
  Sub: broadcasting('bias'),
  Sum: broadcasting('bias'),
  Mul: broadcasting('scale'),
  Div: broadcasting('scale'),
  Pow: broadcasting('other'),
  Max: broadcasting('other'),
  Min: broadcasting('other'),
  Mean: broadcasting('other'),
  PRelu: broadcasting('other'),
  Where: broadcasting('other'),
  Equal: broadcasting('other'),
  Greater: broadcasting('other'),
  GreaterOrEqual: broadcasting('other'),
  Less: broadcasting('other'),
  LessOrEqual: broadcasting('other'),

  Abs: elementwise,
  Cast: elementwise,
  Ceil: elementwise,
  Celu: elementwise,
  Clip: elementwise,
  Cos: elementwise,
  Dropout: elementwise,
  Elu: elementwise,
  Erf: elementwise,
  Exp: elementwise,
  Floor: elementwise,
  Gelu: elementwise,
  HardSigmoid: elementwise,
  HardSwish: elementwise,
  Identity: elementwise,
  LeakyRelu: elementwise,
  Log: elementwise,
  Mish: elementwise,
  Neg: elementwise,
  Reciprocal: elementwise,
  Relu: elementwise,
  Round: elementwise,
  Selu: elementwise,
  Sigmoid: elementwise,
  Sign: elementwise,
  Sin: elementwise,
  Softplus: elementwise,
  Softsign: elementwise,
  Sqrt: elementwise,
  Tanh: elementwise,
  ThresholdedRelu: elementwise,
}
