// The layers of a quantized graph beside what they were: for repairs that bring the one closer to the other.
import { constantOf, type Graph, type Node, type Value } from '../../../onnx/graph.ts'
import { elements, numbers, sizeOf, type Tensor } from '../../../onnx/tensor.ts'
import { quantizationRuleOf } from '../operators.ts'

/** Weights as integers: w ≈ scale · (code - zero point). */
export interface Codes {
  /** The initializer that holds them, of int8 or uint8. */
  readonly value: Value
  readonly tensor: Tensor
  /** The axis of the channels; undefined with one scale for all. */
  readonly axis: number | undefined
  readonly scales: Float32Array
  readonly zeroPoints: readonly number[]
}

/** A layer in both graphs. */
export interface QuantizedLayer {
  /** The node of the float graph. */
  readonly float: Node
  /** Its weights there. */
  readonly weights: Tensor
  /** The node of the quantized graph. */
  readonly node: Node
  readonly codes: Codes
  /** The axis of the weights along which its outputs lie. */
  readonly axis: number
  readonly channels: number
}

/** Finds the layers with integer weights that both graphs have: values that both give have the same name in both. */
export function quantizedLayers(float: Graph, quantized: Graph): QuantizedLayer[] {
  const makers = new Map<string, Node>()
  for (const node of float.nodes)
    for (const output of node.outputs) if (output) makers.set(output.name, node)
  return quantized.nodes.flatMap((node) => {
    const codes = codesOf(node)
    const before = codes && counterpart(node, makers)
    const weights = before && constantOf(before.inputs[1])
    const rule = before && quantizationRuleOf(before)
    if (!weights || rule?.kind !== 'layer' || weights.dtype !== 'float32') return []
    if (String(weights.dims) !== String(codes.tensor.dims)) return []
    const axis = rule.channelAxis(before, weights)
    return [{ float: before, weights, node, codes, axis, channels: weights.dims[axis]! }]
  })
}

/** The weights of a node that come out of a DequantizeLinear. */
function codesOf(node: Node): Codes | undefined {
  const producer = node.inputs[1]?.producer
  if (quantizationRuleOf(node)?.kind !== 'layer' || producer?.opType !== 'DequantizeLinear')
    return undefined
  const [value, scale, zeroPoint] = producer.inputs
  const [tensor, scales] = [constantOf(value), constantOf(scale)]
  if (!value?.tensor || !tensor || scales?.dtype !== 'float32') return undefined
  if (tensor.dtype !== 'int8' && tensor.dtype !== 'uint8') return undefined
  const zero = constantOf(zeroPoint)
  // Blocks along an axis are not what integer kernels read.
  if (producer.number('block_size', 0) !== 0) return undefined
  return {
    value,
    tensor,
    axis: scales.size === 1 ? undefined : producer.number('axis', 1),
    scales: elements(scales, 'float32'),
    zeroPoints: zero ? numbers(zero) : [0],
  }
}

/** The float layer behind which the value of a quantized layer's name is: a clipping between may have been merged. */
function counterpart(node: Node, makers: ReadonlyMap<string, Node>): Node | undefined {
  let found = makers.get(madeBy(node).name)
  while (found && quantizationRuleOf(found)?.kind === 'clipping') found = found.inputs[0]?.producer
  return found && quantizationRuleOf(found)?.kind === 'layer' ? found : undefined
}

/** The output of a node as others read it: behind its quantization, where it is quantized. */
export function madeBy(node: Node): Value {
  const output = node.output()
  const [user] = output.users
  if (output.users.size !== 1 || user?.opType !== 'QuantizeLinear') return output
  const [reader] = user.output().users
  return reader?.opType === 'DequantizeLinear' ? reader.output() : output
}

/** The place of a weight's element among its scales. */
export function scaleIndex({ axis, tensor }: Codes): (at: number) => number {
  if (axis === undefined) return () => 0
  const [stride, channels] = [sizeOf(tensor.dims.slice(axis + 1)), tensor.dims[axis]!]
  return (at) => Math.floor(at / stride) % channels
}

/** The weights that the codes stand for. */
export function dequantized(codes: Codes): Float32Array {
  const integers = elements(codes.tensor, codes.tensor.dtype as 'int8' | 'uint8')
  const indexOf = scaleIndex(codes)
  const { scales, zeroPoints } = codes
  return Float32Array.from(integers, (code, at) => {
    const index = indexOf(at)
    return (code - zeroPoints[zeroPoints.length === 1 ? 0 : index]!) * scales[index]!
  })
}
