// LSTM, GRU and RNN written out step by step, for sequences of a fixed length. The input's share of all gates of all
// steps is one product before the steps; what is left of a step is one product with the state (two for GRU).
import type { Builder } from '../../onnx/build.ts'
import { constantOf, type Node, type Value } from '../../onnx/graph.ts'
import { dataTypes, numbers, tensorOf } from '../../onnx/tensor.ts'
import type { Decomposition } from '../decompose.ts'
import { fill, shapeOf } from '../rule.ts'
import { type Activation, activationsOf } from './recurrent-activations.ts'

/** What a cell keeps from step to step; every value is [batch, hidden]. */
export interface State {
  readonly h: Value
  /** The cell state of an LSTM. */
  readonly c?: Value | undefined
}

/** Makes the next state of the one before, at a place of the sequence. */
export type Step = (place: number, before: State) => State

/** What a cell sees of one direction of a node. */
export interface CellContext {
  readonly g: Builder
  readonly node: Node
  readonly hidden: number
  /** Blocks of rows in W. */
  readonly blocks: number
  readonly activations: readonly Activation[]
  /** Rows [first, last) of the blocks of a weight of this direction, each block of `hidden` rows. */
  weight(index: number, first: number, last: number): Value
  /** Blocks of a bias [blocks · hidden] of this direction; undefined where the node has none. */
  vector(index: number, first: number, last: number): Value | undefined
  /** X·Wᵀ + bias for some blocks of W, cut into places of [batch, blocks · hidden]. */
  projected(first: number, last: number, bias: Value | undefined): readonly Value[]
  /** Bounds what enters the activations, where the node has a `clip`. */
  clip(value: Value): Value
}

/** One kind of recurrent operator. */
export interface Cell {
  /** The activations of one direction, unless the node names others. */
  readonly activations: readonly string[]
  /** True for a cell with a second state, input 6 and output 2. */
  readonly memory?: boolean
  /** Writes what is done once a direction. */
  readonly start: (context: CellContext) => Step
}

/** Outputs of one direction: the states at all places and the last one. */
interface Run {
  readonly all: readonly Value[]
  readonly last: State
}

const directions: Readonly<Record<string, readonly boolean[]>> = {
  forward: [false],
  reverse: [true],
  bidirectional: [false, true],
}

/** Unrolls a node of a cell; outputs behind the end of a sequence are zeros, and its state stays. */
export const unrolled =
  (cell: Cell): Decomposition =>
  ({ g, node, inputs, x }) => {
    const batchFirst = node.number('layout', 0) === 1
    const turn = (value: Value, perm: readonly number[]) =>
      batchFirst ? g.Transpose(value, { perm }) : value
    const sequence = turn(x, [1, 0, 2])
    const [first, second, width] = shapeOf(x) as [number, number, number]
    const [places, batch] = batchFirst ? [second, first] : [first, second]
    const hidden = shapeOf(node.input(2))[2]!
    const rows = g.Reshape(sequence, [places * batch, width])
    const masks = masksOf(g, inputs[4], places, batch)
    const reversed = directions[node.string('direction', 'forward')]!
    const none = fill(g, 0, [batch, hidden])
    const initial = (index: number, direction: number): Value => {
      const given = inputs[index]
      if (!given) return none
      const count = reversed.length
      return part(g, turn(given, [1, 0, 2]), count, direction, [batch, hidden])
    }

    const runs = reversed.map((backwards, direction) => {
      const step = cell.start({
        g,
        node,
        hidden,
        blocks: shapeOf(node.input(1))[1]! / hidden,
        activations: activationsOf(node, cell.activations, direction, reversed.length),
        clip: clipOf(g, node),
        ...weightsOf(g, inputs, direction, hidden, rows, [places, batch]),
      })
      const start: State = {
        h: initial(5, direction),
        c: cell.memory ? initial(6, direction) : undefined,
      }
      return run(g, step, start, places, backwards, masks)
    })

    const used = (index: number) => node.outputs[index] !== undefined
    const whole = () => {
      const each = runs.map(({ all }) => g.Reshape(joined(g, all), [places, 1, batch, hidden]))
      return turn(joined(g, each, 1), [2, 0, 1, 3])
    }
    const states = (values: readonly Value[]) =>
      turn(g.Reshape(joined(g, values), [runs.length, batch, hidden]), [1, 0, 2])
    return [
      used(0) ? whole() : undefined,
      used(1) ? states(runs.map(({ last }) => last.h)) : undefined,
      cell.memory && used(2) ? states(runs.map(({ last }) => last.c!)) : undefined,
    ]
  }

function run(
  g: Builder,
  step: Step,
  start: State,
  places: number,
  backwards: boolean,
  masks: readonly Value[] | undefined,
): Run {
  const all: Value[] = []
  let last = start
  for (let count = 0; count < places; count++) {
    const place = backwards ? places - 1 - count : count
    const next = step(place, last)
    const mask = masks?.[place]
    all[place] = mask ? g.Mul(next.h, mask) : next.h
    last = mask ? kept(g, last, next, mask) : next
  }
  // What a sequence of length 0 leaves is zeros in ONNX Runtime, not its initial state.
  return {
    all,
    last: masks ? { h: g.Mul(last.h, masks[0]), c: last.c && g.Mul(last.c, masks[0]) } : last,
  }
}

/** The new state where the mask is 1, the old one where it is 0. */
function kept(g: Builder, before: State, next: State, mask: Value): State {
  const blend = (old: Value, fresh: Value) => g.Add(old, g.Mul(g.Sub(fresh, old), mask))
  return {
    h: blend(before.h, next.h),
    c: before.c && next.c ? blend(before.c, next.c) : undefined,
  }
}

/** For every place 1 where a sequence reaches it, else 0, [batch, 1]; undefined where all sequences are whole. */
function masksOf(
  g: Builder,
  lengths: Value | undefined,
  places: number,
  batch: number,
): readonly Value[] | undefined {
  if (!lengths) return undefined
  const known = constantOf(lengths)
  if (known && numbers(known).every((length) => length === places)) return undefined
  const order = tensorOf(
    'int32',
    [places, 1],
    Array.from({ length: places }, (_, place) => place),
  )
  const reached = g.Cast(g.Less(order, lengths), { to: dataTypes.float32.code })
  return pieces(g, g.Reshape(reached, [places * batch, 1]), places, batch)
}

function weightsOf(
  g: Builder,
  inputs: readonly (Value | undefined)[],
  direction: number,
  hidden: number,
  rows: Value,
  [places, batch]: readonly [number, number],
): Pick<CellContext, 'weight' | 'vector' | 'projected'> {
  const own = (index: number) => {
    const shape = shapeOf(inputs[index]!)
    const value = part(g, inputs[index]!, shape[0]!, direction, shape.slice(1))
    return { value, size: shape[1]! }
  }
  const cache = new Map<number, ReturnType<typeof own>>()
  const blocks = (index: number, first: number, last: number): Value => {
    const { value, size } = cache.get(index) ?? own(index)
    cache.set(index, { value, size })
    const whole = first === 0 && last * hidden === size
    return whole ? value : g.Slice(value, [first * hidden], [last * hidden], [0])
  }
  return {
    weight: blocks,
    vector: (index, first, last) => (inputs[index] ? blocks(index, first, last) : undefined),
    projected: (first, last, bias) => {
      const product = g.Gemm(rows, blocks(1, first, last), bias, { transB: 1 })
      return pieces(g, product, places, batch)
    },
  }
}

function clipOf(g: Builder, node: Node): (value: Value) => Value {
  const bound = node.number('clip', 0)
  return (value) => (bound > 0 ? g.Clip(value, -bound, bound) : value)
}

/** The part of one direction of a value whose first axis counts them. */
function part(
  g: Builder,
  value: Value,
  count: number,
  direction: number,
  shape: readonly number[],
): Value {
  const own = count === 1 ? value : g.Slice(value, [direction], [direction + 1], [0])
  return g.Reshape(own, shape)
}

const joined = (g: Builder, values: readonly Value[], axis = 0): Value =>
  values.length === 1 ? values[0]! : g.Concat(...values, { axis })

const biasInput = 3

/** The biases beside W for some blocks. */
export const inputBias = ({ vector }: CellContext, first: number, last: number) =>
  vector(biasInput, first, last)

/** The biases beside R for some blocks, which stand behind those of all blocks of W. */
export const recurrentBias = ({ vector, blocks }: CellContext, first: number, last: number) =>
  vector(biasInput, blocks + first, blocks + last)

/** Both. */
export function summedBias(context: CellContext, first: number, last: number): Value | undefined {
  const [a, b] = [inputBias(context, first, last), recurrentBias(context, first, last)]
  return a && b && context.g.Add(a, b)
}

/** WebGPU binds at most eight buffers to a kernel. */
const mostPieces = 7

/**
 * Cuts an axis into equal pieces of a size, by a tree of Splits of few outputs each.
 *
 * The gradient of a Split is one Concat, so that the whole tree costs a few passes over the value and not one a piece.
 */
export function pieces(g: Builder, value: Value, count: number, unit: number, axis = 0): Value[] {
  if (count === 1) return [value]
  let most = 1
  while (most * mostPieces < count) most *= mostPieces
  const counts = Array.from({ length: Math.ceil(count / most) }, (_, index) =>
    Math.min(most, count - index * most),
  )
  const sizes = counts.map((each) => each * unit)
  const split = g.node('Split', [value, sizes], { attributes: { axis }, outputs: sizes.length })
  return split.flatMap((each, index) => pieces(g, each, counts[index]!, unit, axis))
}
