// The parameters of a model: constants that were learned, however the file stores them.
import { allNodes, constantOf, type Model, type Node, type Value } from './graph.ts'
import { countNonzero, type ZeroPoints } from './nonzero.ts'
import { nonzeroIn, packedProductOf } from './packed-product.ts'
import { type SmallWeight, smallWeightsIn } from './small-weights.ts'
import type { Tensor } from './tensor.ts'

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

/** The zero points of integers; undefined where the node has none, or where they are not constant. */
type ZeroPointsOf = (node: Node, weight: Tensor) => ZeroPoints | undefined

/** Zero points in an input, one for all or for each place of an axis of the weight. */
const along =
  (input: number, axisOf: (node: Node, weight: Tensor) => number): ZeroPointsOf =>
  (node, weight) => {
    const tensor = constantOf(node.inputs[input])
    if (!tensor) return undefined
    // As many axes as the weight has: one zero point for each block of neighbours.
    if (tensor.dims.length > 1 && tensor.dims.length === weight.dims.length)
      return { tensor, dims: tensor.dims, block: node.number('block_size', 1) }
    const axis = axisOf(node, weight)
    return { tensor, dims: weight.dims.map((_, at) => (at === axis ? tensor.size : 1)) }
  }

/** Filters have their outputs first, matrices last. */
const filters = (input: number) => along(input, () => 0)
const matrices = (input: number) => along(input, (_, { dims }) => dims.length - 1)

/** For each direction, and in it for all or for each gate of each hidden unit, which come last. */
const gates =
  (input: number): ZeroPointsOf =>
  (node, { dims }) => {
    const tensor = constantOf(node.inputs[input])
    const directions = dims[0]!
    return tensor && { tensor, dims: [directions, 1, Math.max(1, tensor.size / directions)] }
  }

const none: ZeroPointsOf = () => undefined

/** Inputs that are weights although they are integers, by operator. */
const integerWeights: Readonly<Record<string, Readonly<Record<number, ZeroPointsOf>>>> = {
  DequantizeLinear: {
    0: along(2, (node, { dims }) => {
      const axis = node.number('axis', 1)
      return axis < 0 ? axis + dims.length : axis
    }),
  },
  QLinearConv: { 3: filters(5), 8: none },
  QLinearMatMul: { 3: matrices(5) },
  ConvInteger: { 1: filters(3) },
  MatMulInteger: { 1: matrices(3) },
  QGemm: { 3: along(5, (node) => (node.number('transB', 0) ? 0 : 1)), 6: none },
  DynamicQuantizeMatMul: { 1: matrices(3) },
  MatMulIntegerToFloat: { 1: matrices(5) },
  MatMulNBits: { 1: none },
  DynamicQuantizeLSTM: { 1: gates(9), 2: gates(11) },
}

const floats: ReadonlySet<string> = new Set(['float32', 'float64', 'float16', 'bfloat16'])

/** A constant whose elements are parameters, as one of the nodes that use it sees it. */
export interface Parameters {
  readonly value: Value
  readonly tensor: Tensor
  readonly node: Node
  /** Which input of the node it is. */
  readonly input: number
  /** How operators make floats of it, where they do. */
  readonly small?: SmallWeight | undefined
}

/**
 * The constants that hold the parameters of a model, each once however often it is used.
 *
 * Those are floating-point constants with at least one axis, and integer constants and 8-bit floats that are weights or
 * biases. Running statistics of BatchNormalization, quantization scales and zero points, and settings (limits of
 * Clip, scales of Resize) are none.
 */
export function parametersOf(model: Model): Parameters[] {
  const { weights, scaling } = smallWeightsIn(model.graph)
  const seen = new Set<Tensor>(scaling)
  const found: Parameters[] = []
  for (const node of allNodes(model.graph))
    for (const [input, value] of node.inputs.entries()) {
      const tensor = constantOf(value)
      if (!value || !tensor || seen.has(tensor)) continue
      const small = weights.get(tensor)
      if (!small && !isParameter(node, input, tensor)) continue
      seen.add(tensor)
      found.push({ value, tensor, node, input, small })
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
 * by one, all of them as not zero where the form is not known.
 */
export function parametersIn({ node, input, tensor, small }: Parameters): ParameterCount {
  if (node.opType === 'MatMulNBits' && input === 1) {
    const size = node.number('N', 0) * node.number('K', 0)
    const product = packedProductOf(node)
    return { parameters: size, nonzero: product ? nonzeroIn(product) : size }
  }
  if (small) {
    const { size, zeros, used } = small
    return { parameters: size, nonzero: countNonzero(tensor, zeros, used) }
  }
  const zeros = integerWeights[node.opType]?.[input]?.(node, tensor)
  return { parameters: tensor.size, nonzero: countNonzero(tensor, zeros) }
}

function isParameter(node: Node, index: number, tensor: Tensor): boolean {
  if (floats.has(tensor.dtype))
    return tensor.dims.length > 0 && !settings[node.opType]?.includes(index)
  const weights = integerWeights[node.opType]
  return weights !== undefined && index in weights
}
