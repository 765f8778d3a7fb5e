// Convolutions that ONNX Runtime's WebGPU provider computes wrong, quantized or not, are given one more input channel, of
// zeros, which leaves what they compute as it is.
import { build } from '../../onnx/build.ts'
import {
  constantOf,
  type Graph,
  type Model,
  type Node,
  opsetOf,
  type Value,
} from '../../onnx/graph.ts'
import { elements, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withBranches } from './branches.ts'

/** Operators that treat each channel by itself, through whose first input the channels of their output come. */
const channelwise: ReadonlySet<string> = new Set([
  'AveragePool',
  'BatchNormalization',
  'Clip',
  'LeakyRelu',
  'MaxPool',
  'Relu',
])

/** What the other channels' constants of a BatchNormalization are extended with: scale, bias, mean, variance. */
const neutral = [1, 0, 0, 1] as const

/**
 * Whether WebGPU computes a node wrong: in ONNX Runtime 1.30 a convolution of one group, with windows of several
 * elements, strides or padding, of which the input channels are a multiple of 3 above 3 but none of 4, and the output
 * channels are one of 4 (measured on the software driver).
 */
export function isOddConvolution(node: Node): boolean {
  const weights = constantOf(node.inputs[1])
  if (node.opType !== 'Conv' || node.domain !== '' || weights?.dtype !== 'float32') return false
  const [outputs, inputs, ...window] = weights.dims as [number, number, ...number[]]
  const isMatrix =
    [...window, ...node.numbers('strides', [])].every((size) => size === 1) &&
    node.numbers('pads', []).every((size) => size === 0)
  const isOdd = inputs > 3 && inputs % 3 === 0 && inputs % 4 !== 0 && outputs % 4 === 0
  return node.number('group', 1) === 1 && !isMatrix && isOdd
}

/** Since this opset what Pad adds is an input, as it is written here. */
const leastOpset = 11

/**
 * Gives those convolutions, in branches of If as well, one more input channel, in place; gives how many got it.
 *
 * Where all between them and the convolution that makes their input treats channels one by one, that one gives it, which
 * costs next to nothing; elsewhere a Pad does. Models of opsets before 11 are left as they are where they need a Pad.
 */
export function widenOddConvolutions(model: Model): number {
  return withBranches(model.graph).reduce(
    (count, graph) => count + widenIn(graph, opsetOf(model) >= leastOpset),
    0,
  )
}

function widenIn(graph: Graph, mayPad: boolean): number {
  let widened = 0
  // From the end: a convolution that gives one more channel may itself become one of them.
  for (const node of graph.nodes.toReversed()) {
    if (!isOddConvolution(node)) continue
    const path = pathTo(graph, node)
    if (path) giveOneMore(graph, path)
    else if (mayPad) pad(graph, node)
    else continue
    extend(graph, node, 1, 1, 0)
    widened++
  }
  return widened
}

/** Lets a convolution make one more channel, of zeros, that goes through what is behind it. */
function giveOneMore(graph: Graph, [maker, ...between]: readonly Node[]): void {
  for (const input of [1, 2]) extend(graph, maker!, input, 0, 0)
  for (const each of between)
    if (each.opType === 'BatchNormalization')
      for (const [index, value] of neutral.entries()) extend(graph, each, index + 1, 0, value)
  for (const each of [maker!, ...between]) each.output().type = undefined
}

/** Puts one more channel, of zeros, to what a convolution reads. */
function pad(graph: Graph, node: Node): void {
  const rank = constantOf(node.inputs[1])!.dims.length
  const ends = Array.from({ length: 2 * rank }, (_, place) => (place === rank + 1 ? 1 : 0))
  node.setInput(0, build(graph, node).Pad(node.input(0), ends))
}

/** The convolution that makes what a node reads, and all between, in order; undefined where others read it as well. */
function pathTo(graph: Graph, node: Node): readonly Node[] | undefined {
  const value = node.input(0)
  const maker = value.producer
  if (maker?.domain !== '' || value.users.size > 1 || graph.outputs.includes(value))
    return undefined
  if (maker.outputs.slice(1).some(Boolean)) return undefined
  if (maker.opType === 'Conv') {
    const constants = maker.inputs.slice(1).filter((input) => input !== undefined)
    return areFloats(constants) && maker.number('group', 1) === 1 ? [maker] : undefined
  }
  const parameters = maker.opType === 'BatchNormalization' ? maker.inputs.slice(1) : []
  if (!channelwise.has(maker.opType) || !areFloats(parameters)) return undefined
  const before = pathTo(graph, maker)
  return before && [...before, maker]
}

const areFloats = (constants: readonly (Value | undefined)[]): boolean =>
  constants.every((input) => constantOf(input)?.dtype === 'float32')

/** Appends one slice, filled with a number, to a constant of a node along an axis. */
function extend(graph: Graph, node: Node, input: number, axis: 0 | 1, filling: number): void {
  const value = node.inputs[input]
  const tensor = constantOf(value)
  if (!value || !tensor) return
  node.setInput(input, graph.addInitializer(value.name, extended(tensor, axis, filling)))
}

function extended(tensor: Tensor, axis: 0 | 1, filling: number): Tensor {
  const { dims } = tensor
  const values = elements(tensor, 'float32')
  const blocks = axis === 0 ? 1 : dims[0]!
  const length = values.length / blocks
  const added = dims.slice(axis + 1).reduce((product, size) => product * size, 1)
  const all = new Float32Array(values.length + blocks * added).fill(filling)
  for (let block = 0; block < blocks; block++)
    all.set(values.subarray(block * length, (block + 1) * length), block * (length + added))
  return tensorOf(
    'float32',
    dims.map((size, index) => (index === axis ? size + 1 : size)),
    all,
  )
}
