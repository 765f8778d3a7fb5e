// What a model costs, independent of any machine: its parameters, and the multiplications of one run.

import { parse } from './einsum.ts'
import { allNodes, constantOf, type Model, type Node, type Value } from './graph.ts'
import { type ArrayType, elements, sizeOf, type Tensor } from './tensor.ts'

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

/** Inputs that hold no weights although they are floating-point constants, by operator. */
const settings: Readonly<Record<string, readonly number[]>> = {
  // Running statistics are measured, not learned.
  BatchNormalization: [3, 4],
  QuantizeLinear: [1, 2],
  DequantizeLinear: [1, 2],
  QLinearConv: [1, 2, 4, 5, 6, 7],
  QLinearMatMul: [1, 2, 4, 5, 6, 7],
  QGemm: [1, 2, 4, 5, 7, 8],
  DynamicQuantizeMatMul: [2, 3],
  MatMulIntegerToFloat: [2, 3, 4, 5],
  MatMulNBits: [2, 3],
  DynamicQuantizeLSTM: [8, 9, 10, 11],
  Clip: [1, 2],
  Resize: [1, 2, 3],
  Upsample: [1],
  Pad: [1, 2],
  OneHot: [1, 2],
}

/** Inputs that are weights although they are integers, by operator, with the input that holds their zero point. */
const integerWeights: Readonly<Record<string, Readonly<Record<number, number | undefined>>>> = {
  DequantizeLinear: { 0: 2 },
  QLinearConv: { 3: 5, 8: undefined },
  QLinearMatMul: { 3: 5 },
  ConvInteger: { 1: 3 },
  MatMulInteger: { 1: 3 },
  QGemm: { 3: 5, 6: undefined },
  DynamicQuantizeMatMul: { 1: 3 },
  MatMulIntegerToFloat: { 1: 5 },
  MatMulNBits: { 1: 3 },
  DynamicQuantizeLSTM: { 1: 9, 2: 11 },
}

const floats: ReadonlySet<string> = new Set(['float32', 'float64', 'float16', 'bfloat16'])

/** A constant whose elements are parameters, as one of the nodes that use it sees it. */
export interface Parameters {
  readonly value: Value
  readonly tensor: Tensor
  readonly node: Node
  /** Which input of the node it is. */
  readonly input: number
}

/**
 * The constants that hold the parameters of a model, each once however often it is used.
 *
 * Those are floating-point constants with at least one axis, and integer constants that are quantized weights or
 * biases. Running statistics of BatchNormalization, quantization scales and zero points, and settings (limits of
 * Clip, scales of Resize) are none.
 */
export function parametersOf(model: Model): Parameters[] {
  const seen = new Set<Tensor>()
  const found: Parameters[] = []
  for (const node of allNodes(model.graph))
    for (const [input, value] of node.inputs.entries()) {
      const tensor = constantOf(value)
      if (!value || !tensor || seen.has(tensor) || !isParameter(node, input, tensor)) continue
      seen.add(tensor)
      found.push({ value, tensor, node, input })
    }
  return found
}

/** How many parameters there are, and how many of them are not zero. */
export interface ParameterCount {
  readonly parameters: number
  readonly nonzero: number
}

/** Counts the parameters of a model ({@link parametersOf}), and how many of them are not zero. */
export function countParameters(model: Model): ParameterCount {
  let parameters = 0
  let nonzero = 0
  for (const found of parametersOf(model)) {
    const counted = parametersIn(found)
    parameters += counted.parameters
    nonzero += counted.nonzero
  }
  return { parameters, nonzero }
}

/**
 * Counts the parameters that one constant holds.
 *
 * A quantized weight is zero where it equals its zero point. Weights packed into bytes (MatMulNBits) are counted one
 * by one, all of them as not zero.
 */
export function parametersIn({ node, input, tensor }: Parameters): ParameterCount {
  if (node.opType === 'MatMulNBits' && input === 1) {
    const size = node.number('N', 0) * node.number('K', 0)
    return { parameters: size, nonzero: size }
  }
  return { parameters: tensor.size, nonzero: countNonzero(tensor, zeroPointOf(node, input)) }
}

function isParameter(node: Node, index: number, tensor: Tensor): boolean {
  if (floats.has(tensor.dtype))
    return tensor.dims.length > 0 && !settings[node.opType]?.includes(index)
  const weights = integerWeights[node.opType]
  return weights !== undefined && index in weights
}

function zeroPointOf(node: Node, index: number): { zero: Tensor; axis: number } | undefined {
  const input = integerWeights[node.opType]?.[index]
  const zero = input === undefined ? undefined : constantOf(node.inputs[input])
  // Only DequantizeLinear has the attribute; the others count per output channel, which is the first axis of a filter.
  return zero && { zero, axis: node.number('axis', node.opType === 'DequantizeLinear' ? 1 : 0) }
}

function countNonzero(
  tensor: Tensor,
  quantized: { zero: Tensor; axis: number } | undefined,
): number {
  const values = comparable(tensor)
  if (!values) return tensor.size
  const zeros = quantized && comparable(quantized.zero)
  let nonzero = 0
  if (zeros && zeros.length > 1) {
    const axis = quantized!.axis < 0 ? quantized!.axis + tensor.dims.length : quantized!.axis
    const stride = sizeOf(tensor.dims.slice(axis + 1))
    for (let index = 0; index < values.length; index++)
      if (values[index] !== zeros[Math.floor(index / stride) % zeros.length]) nonzero++
    return nonzero
  }
  const zero = zeros?.[0] ?? 0
  // `==` lets 0 equal 0n; a 16-bit float is a bit pattern, whose sign does not count.
  const mask = tensor.dtype === 'float16' || tensor.dtype === 'bfloat16' ? 0x7fff : undefined
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    // biome-ignore lint/suspicious/noDoubleEquals: a number is compared with a bigint
    if (mask === undefined ? value != zero : (Number(value) & mask) !== 0) nonzero++
  }
  return nonzero
}

/** The elements of a tensor, or undefined for types without a typed array (4-bit integers, 8-bit floats). */
function comparable(tensor: Tensor): ArrayLike<number | bigint> | undefined {
  const bits = tensor.dtype.match(/\d+$/)?.[0]
  const plain = /^(u?int|float|bfloat)\d+$/.test(tensor.dtype) && Number(bits) >= 8
  return plain ? elements(tensor, tensor.dtype as ArrayType) : undefined
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
