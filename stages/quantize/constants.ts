// The constants of a quantized graph: scales and zero points, each stored once, and the 8-bit weights of layers.
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { type ArrayType, elements, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import {
  leastScaleFor,
  type Quantization,
  type QuantizedWeights,
  quantizeBias,
  quantizeWeights,
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
): readonly [scale: Value, zeroPoint: Value] => [
  add('s', 'float32', [], [scale]),
  add('z', dtype, [], [zeroPoint]),
]

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

/** Makes the constants of a layer whose input has a scale; layers that share weights share the result. */
export function layerConstants(
  graph: Graph,
  add: AddConstant,
  { weightBits, perChannel }: WeightOptions,
): (node: Node, inputScale: number) => LayerConstants {
  const stored = new Map<string, Value>()
  return (node, inputScale) => {
    const rule = quantizationRuleOf(node)
    const weights = constantOf(node.inputs[1])
    if (rule?.kind !== 'layer' || !weights) throw new Error(`internal: ${node.opType} is no layer`)
    const channelAxis = rule.channelAxis(node, weights)
    const axis = perChannel ? channelAxis : undefined
    const bias = expandedBias(constantOf(node.inputs[2]), weights.dims[channelAxis]!)
    const quantized = quantizeFor(weights, axis, weightBits, bias, inputScale)

    const name = node.input(1).name
    const key = `${name} ${axis} ${Buffer.from(quantized.scales.buffer).toString('base64')}`
    const values =
      stored.get(key) ??
      graph.addInitializer(name, tensorOf('int8', weights.dims, quantized.values))
    stored.set(key, values)
    const dims = axis === undefined ? [] : [quantized.scales.length]
    const scale = add('s', 'float32', dims, quantized.scales)
    const zeroPoint = add('z', 'int8', dims, new Int8Array(quantized.scales.length))
    return {
      weights: [values, scale, zeroPoint],
      bias: bias && biasConstants(add, bias, inputScale, quantized.scales, dims),
      axis,
    }
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
  bits: 7 | 8,
  bias: Float32Array | undefined,
  inputScale: number,
): QuantizedWeights {
  const values = elements(weights, 'float32')
  const largest = bias?.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const perScale = axis === undefined && largest !== undefined ? [largest] : bias
  const least = perScale && leastScaleFor(perScale, inputScale)
  return quantizeWeights(values, weights.dims, axis, bits, least)
}
