// The constants of a quantized graph: scales and zero points, each stored once, and the 8-bit weights of layers.
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import {
  type ArrayType,
  dataTypes,
  elements,
  sizeOf,
  type Tensor,
  tensorOf,
} from '../../onnx/tensor.ts'
import {
  leastScaleFor,
  type Quantization,
  quantizeBias,
  type Range,
  roundHalfEven,
  type StoredWeights,
  storeWeights,
  type WeightForm,
} from './arithmetic.ts'
import { quantizationRuleOf } from './operators.ts'

/** Adds constants to a graph; equal ones are one initializer. */
export type AddConstant = (
  name: string,
  dtype: ArrayType,
  dims: readonly number[],
  values: ArrayBufferView | readonly number[],
) => Value

/** Constants of one graph, of which equal ones of equal type and shape are stored once. */
export function shareConstants(graph: Graph): AddConstant {
  const known = new Map<string, Value>()
  return (name, dtype, dims, values) => {
    const tensor = tensorOf(dtype, dims, values)
    const key = `${dtype} ${dims.join()} ${Buffer.from(tensor.bytes).toString('base64')}`
    const value = known.get(key) ?? graph.addInitializer(name, tensor)
    known.set(key, value)
    return value
  }
}

/** The scale and zero point of an activation as values. */
export const parametersOf = (
  add: AddConstant,
  { dtype, scale, zeroPoint }: Quantization,
): readonly [scale: Value, zeroPoint: Value] => {
  if (dataTypes[dtype].bits < 8) throw new Error(`internal: an activation in ${dtype}`)
  return [add('s', 'float32', [], [scale]), add('z', dtype as ArrayType, [], [zeroPoint])]
}

/** What the DequantizeLinear nodes before a layer read. */
export interface LayerConstants {
  /** Quantized weights, scale and zero point. */
  readonly weights: readonly Value[]
  /** Bias and scale; there is no zero point, which some providers refuse in int32. */
  readonly bias: readonly Value[] | undefined
  /** Axis of the weights' channels; undefined with one scale for all. */
  readonly axis: number | undefined
}

/** How weights are stored. */
export interface WeightOptions {
  readonly weightBits: 7 | 8
  readonly perChannel: boolean
}

/** How the weights of integer kernels are stored. */
export interface LayerOptions extends WeightOptions {
  readonly weights: WeightForm['dtype']
  readonly symmetricWeights: boolean
  readonly learned?: LearnedQuantization | undefined
}

/** Weights as an aware training has left them: w = values * scale of its channel. */
export interface LearnedWeights {
  readonly values: Int8Array
  /** One a channel, or a single one. */
  readonly scales: Float32Array
}

/** How an aware training wants everything to be stored; all by name. */
export interface LearnedQuantization {
  readonly activations: ReadonlyMap<string, Quantization>
  /** What activations that use a part of the integers only are cut off at. */
  readonly bounds: ReadonlyMap<string, Range>
  readonly weights: ReadonlyMap<string, LearnedWeights>
}

/** Makes the constants of a layer whose input has a scale; layers that share weights share the result. */
export function layerConstants(
  graph: Graph,
  add: AddConstant,
  { weightBits, perChannel, weights: dtype, symmetricWeights, learned }: LayerOptions,
): (node: Node, inputScale: number) => LayerConstants {
  const form: WeightForm = { dtype, symmetric: symmetricWeights, bits: weightBits }
  const stored = new Map<string, Value>()
  return (node, inputScale) => {
    const rule = quantizationRuleOf(node)
    const weights = constantOf(node.inputs[1])
    if (rule?.kind !== 'layer' || !weights) throw new Error(`internal: ${node.opType} is no layer`)
    const channelAxis = rule.channelAxis(node, weights)
    const axis = perChannel ? channelAxis : undefined
    const bias = expandedBias(constantOf(node.inputs[2]), weights.dims[channelAxis]!)
    const { name } = node.input(1)
    const known = learned?.weights.get(name)
    const quantized = known
      ? learnedFor(known, weights.dims, axis, bias, inputScale)
      : quantizeFor(weights, axis, form, bias, inputScale)
    const key = `${name} ${axis} ${Buffer.from(quantized.scales.buffer).toString('base64')}`
    const values =
      stored.get(key) ?? graph.addInitializer(name, tensorOf(dtype, weights.dims, quantized.values))
    stored.set(key, values)
    const dims = axis === undefined ? [] : [quantized.scales.length]
    const scale = add('s', 'float32', dims, quantized.scales)
    const zeroPoint = add('z', dtype, dims, quantized.zeroPoints)
    return {
      weights: [values, scale, zeroPoint],
      bias: bias && biasConstants(add, bias, inputScale, quantized.scales, dims),
      axis,
    }
  }
}

/** Learned weights as they are, but for channels whose bias would not fit int32 at their scale. */
function learnedFor(
  { values, scales }: LearnedWeights,
  dims: readonly number[],
  axis: number | undefined,
  bias: Float32Array | undefined,
  inputScale: number,
): StoredWeights {
  const largest = bias?.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const perScale = axis === undefined && largest !== undefined ? [largest] : bias
  const least = perScale && leastScaleFor(perScale, inputScale)
  const stride = axis === undefined ? values.length || 1 : sizeOf(dims.slice(axis + 1))
  const channelOf = (index: number) => Math.floor(index / stride) % scales.length
  const used = new Uint8Array(scales.length)
  for (const [index, value] of values.entries()) if (value !== 0) used[channelOf(index)] = 1
  // What is nothing but its bias is zero at any scale.
  const fitting = scales.map((scale, channel) =>
    Math.max(scale, least?.(channel, used[channel]!) ?? 0),
  )
  return {
    values: values.map((value, index) => {
      const channel = channelOf(index)
      const [before, after] = [scales[channel]!, fitting[channel]!]
      return before === after ? value : roundHalfEven((value * before) / after)
    }),
    scales: fitting,
    zeroPoints: new Int8Array(scales.length),
  }
}

function biasConstants(
  add: AddConstant,
  bias: Float32Array,
  inputScale: number,
  weightScales: Float32Array,
  dims: readonly number[],
): readonly Value[] {
  const { values, scales } = quantizeBias(bias, inputScale, weightScales)
  return [add('b', 'int32', [values.length], values), add('s', 'float32', dims, scales)]
}

/** Gemm may have one number for all channels, or a row. */
function expandedBias(tensor: Tensor | undefined, channels: number): Float32Array | undefined {
  if (!tensor) return undefined
  const values = elements(tensor, 'float32')
  return values.length === channels
    ? values
    : Float32Array.from({ length: channels }, () => values[0]!)
}

/** Quantizes weights so that the bias, which gets the scale of the products, fits int32. */
function quantizeFor(
  weights: Tensor,
  axis: number | undefined,
  form: WeightForm,
  bias: Float32Array | undefined,
  inputScale: number,
): StoredWeights {
  const values = elements(weights, 'float32')
  const largest = bias?.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const perScale = axis === undefined && largest !== undefined ? [largest] : bias
  const least = perScale && leastScaleFor(perScale, inputScale)
  return storeWeights(values, weights.dims, axis, form, least)
}
