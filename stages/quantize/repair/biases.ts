// Adding to the outputs of a quantized layer, channel by channel: to its bias in int32, to a float one, or to the
// constant that is added behind a MatMul.
import { constantOf, type Graph, Node, Value } from '../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { quantizationOf, quantizeBias, quantizeValues } from '../arithmetic.ts'
import { extend } from '../histogram.ts'
import { addToConstant, setOwnConstant } from './inputs.ts'
import { madeBy, type QuantizedLayer } from './quantized-layers.ts'

/** Adds a vector, one number a channel. */
export type AddToOutputs = (shift: Float64Array) => void

/** How something can be added to the outputs of a layer; undefined where there is no place for it. */
export function adderOf(graph: Graph, layer: QuantizedLayer): AddToOutputs | undefined {
  const { node, channels } = layer
  if (node.opType === 'MatMul') return addedBehind(graph, layer)
  const bias = node.inputs[2]
  if (!bias) return newBias(graph, layer)
  const content = constantOf(bias)
  if (content) return floatAdder(graph, node, 2, channels)
  const reader = bias.producer
  return reader?.opType === 'DequantizeLinear' ? integerAdder(graph, reader) : undefined
}

/** A float constant of one number a channel. */
function floatAdder(
  graph: Graph,
  node: Node,
  input: number,
  channels: number,
): AddToOutputs | undefined {
  const tensor = constantOf(node.inputs[input])
  if (tensor?.dtype !== 'float32' || !isVector(tensor.dims, channels)) return undefined
  return (shift) => addToConstant(graph, node, input, shift)
}

/** A bias in int32, whose scale stays. */
function integerAdder(graph: Graph, reader: Node): AddToOutputs | undefined {
  const [tensor, scale] = [constantOf(reader.inputs[0]), constantOf(reader.inputs[1])]
  if (tensor?.dtype !== 'int32' || scale?.dtype !== 'float32') return undefined
  return (shift) => {
    const { values: steps } = quantizeBias(Float32Array.from(shift), 1, elements(scale, 'float32'))
    const values = elements(tensor, 'int32').map((value, at) =>
      Math.min(largest, Math.max(-largest, value + steps[at]!)),
    )
    setOwnConstant(graph, reader, 0, tensorOf('int32', tensor.dims, values))
  }
}

/** The largest bias. */
const largest = 2 ** 31 - 1

/** A layer that has no bias gets one, in the units of its sums of products. */
function newBias(
  graph: Graph,
  { node, codes, channels }: QuantizedLayer,
): AddToOutputs | undefined {
  const reader = node.inputs[0]?.producer
  const scale = reader?.opType === 'DequantizeLinear' ? constantOf(reader.inputs[1]) : undefined
  if (scale?.dtype !== 'float32' || scale.size !== 1) return undefined
  return (shift) => {
    const [inputScale] = elements(scale, 'float32')
    const { values, scales } = quantizeBias(Float32Array.from(shift), inputScale!, codes.scales)
    const bias = graph.addInitializer('bias', tensorOf('int32', [channels], values))
    const dims = scales.length === 1 ? [] : [channels]
    const scaleValue = graph.addInitializer('s', tensorOf('float32', dims, scales))
    const output = new Value(graph.uniqueName('d'))
    const attributes = scales.length === 1 ? [] : [['axis', { type: 'int', value: 0 }] as const]
    graph.add(new Node('DequantizeLinear', [bias, scaleValue], [output], { attributes }), node)
    node.setInput(2, output)
  }
}

/** The constant of the only Add that reads a layer, in 8 bits or float. */
function addedBehind(graph: Graph, { node, channels }: QuantizedLayer): AddToOutputs | undefined {
  const value = madeBy(node)
  const [sum] = value.users
  if (value.users.size !== 1 || sum?.opType !== 'Add' || graph.outputs.includes(value))
    return undefined
  const input = sum.inputs[0] === value ? 1 : 0
  const added = sum.input(input)
  if (constantOf(added)) return floatAdder(graph, sum, input, channels)
  return added.producer?.opType === 'DequantizeLinear'
    ? roundedAdder(graph, added.producer, channels)
    : undefined
}

/** A constant in 8 or 16 bits, which gets the scale that its new range asks for. */
function roundedAdder(graph: Graph, reader: Node, channels: number): AddToOutputs | undefined {
  const [tensor, scale, zero] = reader.inputs.map((input) => constantOf(input))
  if (!tensor || scale?.dtype !== 'float32' || scale.size !== 1 || !zero) return undefined
  const { dtype } = tensor
  if (dtype !== 'int8' && dtype !== 'uint8' && dtype !== 'int16' && dtype !== 'uint16')
    return undefined
  if (!isVector(tensor.dims, channels)) return undefined
  return (shift) => {
    const [step, [origin]] = [elements(scale, 'float32')[0]!, elements(zero, dtype)]
    const values = Float32Array.from(
      elements(tensor, dtype),
      (code, at) => (code - origin!) * step + shift[at]!,
    )
    const range = extend({ min: Infinity, max: -Infinity }, values)
    const quantization = quantizationOf(range, dtype)
    const codes = quantizeValues(values, quantization)
    setOwnConstant(graph, reader, 0, tensorOf(dtype, tensor.dims, codes))
    setOwnConstant(graph, reader, 1, tensorOf('float32', [], [quantization.scale]))
    setOwnConstant(graph, reader, 2, tensorOf(dtype, [], [quantization.zeroPoint]))
  }
}

/** One number for each channel, along the last axis. */
const isVector = (dims: readonly number[], channels: number): boolean =>
  dims.at(-1) === channels && dims.every((size, axis) => size === 1 || axis === dims.length - 1)
