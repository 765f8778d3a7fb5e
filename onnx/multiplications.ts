// How often the operators of a model multiply in one run, independent of any machine.
import { parse } from './einsum.ts'
import { allNodes, type Model, type Node, type Value } from './graph.ts'
import { sizeOf } from './tensor.ts'

/** The sizes of a value's axes, or undefined where one of them is not known. */
export type ShapeOf = (value: Value | undefined) => readonly number[] | undefined

/** The sizes that a value's type states; `inferShapes` of runtime/ writes them there for a batch size. */
export const statedShape: ShapeOf = (value) => {
  const shape = value?.tensor?.dims ?? value?.type?.shape
  return shape?.every((dim) => typeof dim === 'number') ? (shape as readonly number[]) : undefined
}

/** An operator that multiplies and accumulates: which of its inputs may be weights, and how often it multiplies. */
interface Multiplication {
  /** Inputs that are weights when they are constant. */
  readonly weights: readonly number[]
  /** Multiplications of one run; undefined where a shape is not known. */
  readonly macs: (node: Node, shapeOf: ShapeOf) => number | undefined
}

/** Every output element sums over a filter without its first axis: `[M, C / group, …kernel]`. */
const convolution = (weight: number): Multiplication => ({
  weights: [weight],
  macs: (node, shapeOf) =>
    product(shapeOf(node.outputs[0]), shapeOf(node.inputs[weight])?.slice(1)),
})

/** Every input element is spread by a filter without its first axis: `[C, M / group, …kernel]`. */
const transposedConvolution: Multiplication = {
  weights: [1],
  macs: (node, shapeOf) => product(shapeOf(node.inputs[0]), shapeOf(node.inputs[1])?.slice(1)),
}

/** Every output element sums over the last axis of A (the first where A is transposed). */
const matrix = (a: number, b: number, transpose = 'transA'): Multiplication => ({
  weights: [a, b],
  macs: (node, shapeOf) =>
    product(
      shapeOf(node.outputs[0]),
      shapeOf(node.inputs[a])
        ?.slice(node.number(transpose, 0) ? -2 : -1)
        ?.slice(0, 1),
    ),
})

/** Gates of hidden units over the sequence: W `[directions, gates * hidden, input]`, R `[…, hidden]`. */
const recurrent: Multiplication = {
  weights: [1, 2],
  macs(node, shapeOf) {
    const input = shapeOf(node.inputs[0])?.slice(0, 2)
    const own = product(input, shapeOf(node.inputs[1]))
    const recurrence = product(input, shapeOf(node.inputs[2]))
    return own === undefined || recurrence === undefined ? undefined : own + recurrence
  },
}

/** Every query meets every key, and what that gives every value; what comes of it is as long as the queries. */
const meeting = (
  queries: number | undefined,
  given: readonly number[] | undefined,
  keys: number | undefined,
): number | undefined =>
  queries === undefined || given === undefined || keys === undefined
    ? undefined
    : (queries + sizeOf(given)) * keys

/** Keys `[batch, length, width]` or `[batch, heads, length, size]` behind those of the past; packed ones have five axes. */
function lengthOf(
  keys: readonly number[] | undefined,
  past: readonly number[] | undefined,
): number | undefined {
  const own = keys?.length === 5 ? keys[1] : keys?.at(-2)
  return own === undefined ? undefined : own + (past?.at(-2) ?? 0)
}

/** ONNX's Attention (opset 23): queries, keys and values apart. */
const attention: Multiplication = {
  weights: [],
  macs(node, shapeOf) {
    if (node.domain === 'com.microsoft') return packedAttention(node, shapeOf)
    const [query, key, , , past] = node.inputs.map(shapeOf)
    return meeting(product(query), shapeOf(node.outputs[0]), lengthOf(key, past))
  },
}

/** com.microsoft's Attention: W `[input, queries + keys + values]` makes all three of the same input. */
function packedAttention(node: Node, shapeOf: ShapeOf): number | undefined {
  const [input, weight, , , past] = node.inputs.map(shapeOf)
  const given = shapeOf(node.outputs[0])
  if (!input || !weight || !given) return undefined
  const rows = sizeOf(input.slice(0, 2))
  const queries = (rows * (weight[1]! - given.at(-1)!)) / 2
  const met = meeting(queries, given, lengthOf(input, past))
  return met === undefined ? undefined : rows * sizeOf(weight) + met
}

/** com.microsoft's attention whose queries are as wide as what it gives, packed with keys and values or not. */
const headedAttention = (past: number): Multiplication => ({
  weights: [],
  macs(node, shapeOf) {
    const given = shapeOf(node.outputs[0])
    const keys = shapeOf(node.inputs[1] ?? node.inputs[0])
    return meeting(product(given), given, lengthOf(keys, shapeOf(node.inputs[past])))
  },
})

/** Every combination of the indices of an equation multiplies once; one operand is only summed. */
const einsum: Multiplication = {
  weights: [],
  macs(node, shapeOf) {
    const shapes = node.inputs.map(shapeOf)
    const equation = node.string('equation', '')
    if (shapes.length < 2) return 0
    if (!shapes.every((shape) => shape !== undefined)) return undefined
    if (equation.split(',').length !== shapes.length) return undefined
    return sizeOf([...parse(equation, shapes).sizes.values()])
  },
}

/** The operators that multiply and accumulate. What is not here (activations, norms, pooling) counts as free. */
export const multiplications: Readonly<Record<string, Multiplication>> = {
  Conv: convolution(1),
  FusedConv: convolution(1),
  ConvInteger: convolution(1),
  QLinearConv: convolution(3),
  ConvTranspose: transposedConvolution,
  Gemm: matrix(0, 1),
  QGemm: matrix(0, 3),
  MatMul: matrix(0, 1),
  FusedGemm: matrix(0, 1),
  FusedMatMul: matrix(0, 1),
  MatMulInteger: matrix(0, 1),
  DynamicQuantizeMatMul: matrix(0, 1),
  MatMulIntegerToFloat: matrix(0, 1),
  QLinearMatMul: matrix(0, 3),
  MatMulNBits: matrix(0, 1),
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  DynamicQuantizeLSTM: recurrent,
  Einsum: einsum,
  Attention: attention,
  MultiHeadAttention: headedAttention(6),
  GroupQueryAttention: headedAttention(3),
}

/**
 * Counts the multiply-accumulate operations of one run for the batch size that the shapes state.
 *
 * It asks `shapeOf` for shapes, which defaults to the types that `inferShapes` wrote. Undefined where the shape of an
 * operator that multiplies is not known. Nodes of subgraphs (If, Loop) count once.
 */
export function countMacs(model: Model, shapeOf: ShapeOf = statedShape): number | undefined {
  let total = 0
  for (const node of allNodes(model.graph)) {
    const macs = macsOf(node, shapeOf)
    if (macs === undefined) return undefined
    total += macs
  }
  return total
}

/** The multiply-accumulates of one operator: none where it does not multiply, undefined where a shape is not known. */
export function macsOf(node: Node, shapeOf: ShapeOf): number | undefined {
  const row = multiplications[node.opType]
  return row ? row.macs(node, shapeOf) : 0
}

function product(...shapes: readonly (readonly number[] | undefined)[]): number | undefined {
  return shapes.every((shape) => shape !== undefined) ? sizeOf(shapes.flat()) : undefined
}
