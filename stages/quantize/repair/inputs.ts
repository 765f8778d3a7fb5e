// The layers of a float model by the channels that they take: what smoothing and splitting of channels work on.
import { constantOf, type Graph, type Node, type Value } from '../../../onnx/graph.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { quantizationRuleOf } from '../operators.ts'

/** A layer that is going to be quantized. */
export interface TakingLayer {
  readonly node: Node
  readonly weights: Tensor
  /** The axis of its input's channels; -1 is the last. */
  readonly channels: number
  /** The axis of the weights that takes them; undefined for a convolution in groups. */
  readonly axis: number | undefined
}

/** The Conv, Gemm and MatMul with constant float32 weights that are not excluded. */
export const takingLayers = (graph: Graph, excluded: ReadonlySet<Node>): TakingLayer[] =>
  graph.nodes.flatMap((node) => {
    const rule = quantizationRuleOf(node)
    const weights = constantOf(node.inputs[1])
    if (excluded.has(node) || rule?.kind !== 'layer' || weights?.dtype !== 'float32') return []
    if (!rule.supports(node, weights)) return []
    if (node.opType !== 'Conv')
      return [{ node, weights, channels: -1, axis: 1 - rule.channelAxis(node, weights) }]
    const axis = node.number('group', 1) === 1 ? 1 : undefined
    return [{ node, weights, channels: 1, axis }]
  })

/** The largest magnitude of a weight at each index of an axis. */
export function largestAlong({ dims }: Tensor, values: Float32Array, axis: number): Float64Array {
  const stride = sizeOf(dims.slice(axis + 1))
  const largest = new Float64Array(dims[axis]!)
  for (let at = 0; at < values.length; at++) {
    const index = Math.floor(at / stride) % largest.length
    largest[index] = Math.max(largest[index]!, Math.abs(values[at]!))
  }
  return largest
}

/** Gives a node a constant of its own, or changes the one that it alone reads. */
export function setOwnConstant(graph: Graph, node: Node, index: number, tensor: Tensor): void {
  const value = node.inputs[index]
  if (value && isOwn(graph, value)) {
    value.tensor = tensor
    value.type = { dtype: tensor.dtype, shape: tensor.dims }
  } else node.setInput(index, graph.addInitializer(value?.name ?? `${node.name}_constant`, tensor))
}

/** Adds a vector to a float32 constant of a node, which becomes its own; where there is none, to zeros. */
export function addToConstant(
  graph: Graph,
  node: Node,
  index: number,
  shift: Float32Array | Float64Array,
): void {
  const constant = constantOf(node.inputs[index])
  const before = constant ? elements(constant, 'float32') : new Float32Array(shift.length)
  const values = before.map((value, at) => value + shift[at]!)
  const dims = constant?.dims ?? [shift.length]
  setOwnConstant(graph, node, index, tensorOf('float32', dims, values))
}

const isOwn = (graph: Graph, value: Value): boolean =>
  value.tensor !== undefined &&
  value.users.size === 1 &&
  !graph.outputs.includes(value) &&
  !graph.inputs.includes(value)
