// Layers that are to stay float between integers. ONNX Runtime quantizes the weights of such a layer by itself, with one
// scale for all, where it reads what one scale dequantizes and its output is quantized (its WeightBiasQuantization, since
// 1.20). A scale for each channel, all of them equal, means the same and is left alone.
import { build } from '../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { numbers, type Tensor } from '../../onnx/tensor.ts'
import type { AddConstant } from './constants.ts'

/** How many channels each operator reads along axis 1 of its input. */
const channelsOf: Readonly<Record<string, (node: Node, weights: Tensor) => number | undefined>> = {
  Conv: (node, { dims }) => dims[1]! * node.number('group', 1),
  ConvTranspose: (_node, { dims }) => dims[0],
  Gemm: (node, { dims }) =>
    node.number('transA', 0) ? undefined : dims[node.number('transB', 0) ? 1 : 0],
}

/** What may stand between a layer and the quantization of its output. */
const clippings: ReadonlySet<string> = new Set(['Clip', 'Relu'])

/** Lets float layers between integers stay float, in place; gives how many there are. */
export function keepFloatLayers(graph: Graph, add: AddConstant): number {
  let kept = 0
  for (const node of graph.nodes) {
    const weights = constantOf(node.inputs[1])
    const dequantizer = node.inputs[0]?.producer
    const row = node.domain === '' ? channelsOf[node.opType] : undefined
    if (!row || weights?.dtype !== 'float32' || dequantizer?.opType !== 'DequantizeLinear') continue
    const channels = row(node, weights)
    const [scale, zeroPoint] = [1, 2].map((index) => constantOf(dequantizer.inputs[index]))
    if (!channels || scale?.size !== 1 || zeroPoint?.size !== 1 || !isQuantized(graph, node))
      continue
    const [dequantized] = build(graph, node).node(
      'DequantizeLinear',
      [
        dequantizer.input(0),
        ...[scale, zeroPoint].map((tensor) => repeated(add, tensor, channels)),
      ],
      { domain: dequantizer.domain, attributes: { axis: 1 } },
    )
    node.setInput(0, dequantized)
    kept++
  }
  return kept
}

function repeated(add: AddConstant, tensor: Tensor, count: number): Value {
  const [number] = numbers(tensor)
  const dtype = tensor.dtype as 'float32' | 'uint8'
  return add('c', dtype, [count], new Array<number>(count).fill(number!))
}

/** Whether the output of a node, clipped or not, is quantized and nothing else. */
function isQuantized(graph: Graph, node: Node): boolean {
  const output = node.output()
  const [user, ...others] = output.users
  if (!user || others.length > 0 || graph.outputs.includes(output)) return false
  return (
    user.opType === 'QuantizeLinear' || (clippings.has(user.opType) && isQuantized(graph, user))
  )
}
