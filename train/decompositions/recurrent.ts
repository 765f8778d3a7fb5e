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

const directions: Readonly<Record<string, readonly boolean[]>> = {
  forward: [false],
  reverse: [true],
  bidirectional: [false, true],
}

/** Unrolls a node of a cell. */
export const unrolled =
  (cell: Cell): Decomposition =>
  ({ g, node, inputs, x }) => {
    const [places, batch, width] = shapeOf(x) as [number, number, number]
    const hidden = shapeOf(node.input(2))[2]!
    const ends = endsOf(g, inputs[4], places)
    const reversed = directions[node.string('direction', 'forward')]!
    const count = reversed.length
    const initial = (index: number, direction: number): Value => {
      const given = inputs[index]
      if (!given) return fill(g, 0, [batch, hidden])
      return part(g, given, count, direction, [batch, hidden])
    }

    const runs = reversed.map((backwards, direction) => {
      const turn = (value: Value) => (backwards && ends ? ends.turned(value) : value)
      const rows = g.Reshape(turn(x), [places * batch, width])
      const step = cell.start({
        g,
        node,
        hidden,
        blocks: shapeOf(node.input(1))[1]! / hidden,
        activations: activationsOf(node, cell.activations, direction, count),
        clip: clipOf(g, node),
        ...weightsOf(g, inputs, direction, hidden, rows, [places, batch]),
      })
      const start: State = {
        h: initial(5, direction),
        c: cell.memory ? initial(6, direction) : undefined,
      }
      const states = run(step, start, places, backwards && !ends)
      const stacked = (key: keyof State) =>
        g.Reshape(
          joined(
            g,
            states.inPlace.map((state) => state[key]!),
          ),
          [places, batch, hidden],
        )
      return {
        whole: () => (ends ? turn(g.Mul(stacked('h'), ends.reached)) : stacked('h')),
        last: (key: keyof State) =>
          ends
            ? g.ReduceSum(g.Mul(stacked(key), ends.last), [0], { keepdims: 0 })
            : states.last[key]!,
      }
    })

    const used = (index: number) => node.outputs[index] !== undefined
    const whole = () =>
      joined(
        g,
        runs.map((each) => g.Unsqueeze(each.whole(), [1])),
        1,
      )
    const last = (key: keyof State) =>
      g.Reshape(
        joined(
          g,
          runs.map((each) => each.last(key)),
        ),
        [count, batch, hidden],
      )
    return [
      used(0) ? whole() : undefined,
      used(1) ? last('h') : undefined,
      cell.memory && used(2) ? last('c') : undefined,
    ]
  }

/** The states by their place in the sequence, and the last one that was reached. */
function run(step: Step, start: State, places: number, backwards: boolean) {
  const inPlace: State[] = []
  let last = start
  for (let count = 0; count < places; count++) {
    const place = backwards ? places - 1 - count : count
    last = step(place, last)
    inPlace[place] = last
  }
  return { inPlace, last }
}

/** What is done about sequences that end early. */
interface Ends {
  /** 1 where a sequence reaches a place, else 0, [places, batch, 1]. */
  readonly reached: Value
  /** 1 at the last place of a sequence, else 0, [places, batch, 1]. */
  readonly last: Value
  /** Turns each sequence of [places, batch, …] around and leaves what is behind its end. */
  readonly turned: (value: Value) => Value
}

/**
 * Steps behind the end of a sequence are computed like all others: nothing that counts depends on them, for the reverse
 * direction runs forward over turned sequences. Undefined where all sequences are whole.
 *
 * A sequence of length 0 has no last place; zeros are what ONNX Runtime leaves there too.
 */
function endsOf(g: Builder, lengths: Value | undefined, places: number): Ends | undefined {
  if (!lengths) return undefined
  const known = constantOf(lengths)
  if (known && numbers(known).every((length) => length === places)) return undefined
  const order = (first: number) => {
    const list = Array.from({ length: places }, (_, place) => first + place)
    return tensorOf('int32', [places, 1], list)
  }
  const mask = (test: Value) => g.Unsqueeze(g.Cast(test, { to: dataTypes.float32.code }), [2])
  const long = g.Cast(lengths, { to: dataTypes.int64.code })
  return {
    reached: mask(g.Less(order(0), lengths)),
    last: mask(g.Equal(order(1), lengths)),
    turned: (value) => g.ReverseSequence(value, long, { time_axis: 0, batch_axis: 1 }),
  }
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
