// BatchNormalization after a linear operator is itself linear at inference: it goes into the weights and the bias.
// Jacob et al., "Quantization and training of neural networks for integer-arithmetic-only inference" (2018), eq. 14.
import { constantOf, type Graph, type Node, type Value } from '../graph.ts'
import { elements, type Tensor, tensorOf } from '../tensor.ts'

/** How an operator holds its output channels. */
interface Linear {
  /** The index of the output channel that element `index` of the weights belongs to. */
  channelOf(node: Node, weights: Tensor): (index: number) => number
  /** How many output channels there are. */
  channels(node: Node, weights: Tensor): number
}

/** Elements from one index of an axis to the next. */
const strideOf = (dims: readonly number[], axis: number): number =>
  dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)

const gemmAxis = (node: Node): number => (node.number('transB', 0) === 0 ? 1 : 0)

const linear: Readonly<Record<string, Linear>> = {
  Conv: {
    channels: (_node, { dims }) => dims[0] ?? 0,
    channelOf: (_node, { dims }) => {
      const stride = strideOf(dims, 0)
      return (index) => Math.floor(index / stride)
    },
  },
  // Weights are [inputs, outputs / group, …], and each group of inputs has outputs of its own.
  ConvTranspose: {
    channels: (node, { dims }) => (dims[1] ?? 0) * node.number('group', 1),
    channelOf: (node, { dims }) => {
      const perGroup = dims[1] ?? 0
      const inputsPerGroup = (dims[0] ?? 0) / node.number('group', 1)
      const [inputStride, stride] = [strideOf(dims, 0), strideOf(dims, 1)]
      return (index) =>
        Math.floor(index / inputStride / inputsPerGroup) * perGroup +
        (Math.floor(index / stride) % perGroup)
    },
  },
  Gemm: {
    channels: (node, { dims }) => dims[gemmAxis(node)] ?? 0,
    channelOf: (node, { dims }) => {
      const axis = gemmAxis(node)
      const stride = strideOf(dims, axis)
      return (index) => Math.floor(index / stride) % dims[axis]!
    },
  },
}

/**
 * Folds each BatchNormalization in inference form into the Conv, ConvTranspose or Gemm before it, float32 only.
 *
 * The weights keep their name; where others use them too, they get a copy.
 */
export function foldBatchNormalization(graph: Graph): boolean {
  const folded = new Set<Node>()
  for (const node of graph.nodes) if (fold(graph, node)) folded.add(node)
  if (folded.size > 0) graph.retain((node) => !folded.has(node))
  return folded.size > 0
}

function fold(graph: Graph, normalization: Node): boolean {
  if (!isInference(normalization)) return false
  const data = normalization.input(0)
  const node = data.producer
  const rule = node?.domain === '' ? linear[node.opType] : undefined
  if (!node || !rule || data.users.size > 1 || graph.outputs.includes(data)) return false
  const weights = constantOf(node.inputs[1])
  const bias = constantOf(node.inputs[2])
  const parameters = [1, 2, 3, 4].map((index) => constantOf(normalization.inputs[index]))
  const constants = [weights, ...parameters, ...(node.inputs[2] ? [bias] : [])]
  if (!weights || constants.some((constant) => constant?.dtype !== 'float32')) return false
  const channels = rule.channels(node, weights)
  const biasFits =
    !bias || bias.size === 1 || (bias.size === channels && bias.dims.at(-1) === channels)
  const fits = parameters.every((parameter) => parameter?.size === channels)
  if (!biasFits || !fits || channels === 0) return false

  // y = scale (x - mean) / sqrt(variance + epsilon) + shift = factor x + (shift - factor mean)
  const [scale, shift, mean, variance] = parameters.map((parameter) =>
    elements(parameter!, 'float32'),
  )
  const epsilon = normalization.number('epsilon', 1e-5)
  const factor = Array.from(scale!, (value, c) => value / Math.sqrt(variance![c]! + epsilon))
  const channelOf = rule.channelOf(node, weights)
  const newWeights = elements(weights, 'float32').map(
    (value, index) => value * factor[channelOf(index)]!,
  )
  const old = bias ? elements(bias, 'float32') : undefined
  // Gemm scales its bias; the new one is in units of the output.
  const beta = node.opType === 'Gemm' ? node.number('beta', 1) : 1
  const newBias = Float32Array.from(factor, (value, c) => {
    const before = old ? beta * old[old.length === 1 ? 0 : c]! : 0
    return value * (before - mean![c]!) + shift![c]!
  })
  node.attributes.delete('beta')
  replace(graph, node, 1, tensorOf('float32', weights.dims, newWeights), 'weight')
  replace(graph, node, 2, tensorOf('float32', [channels], newBias), 'bias')

  const output = normalization.output()
  const index = node.outputs.indexOf(data)
  normalization.setOutput(0, undefined)
  node.setOutput(index, output)
  return true
}

/** Training form has more outputs, or (since opset 14) says so; before opset 9 `spatial` 0 normalized each element. */
function isInference(node: Node): boolean {
  return (
    node.opType === 'BatchNormalization' &&
    node.domain === '' &&
    node.number('training_mode', 0) === 0 &&
    node.number('spatial', 1) === 1 &&
    node.outputs.slice(1).every((output) => output === undefined)
  )
}

function replace(graph: Graph, node: Node, index: number, tensor: Tensor, kind: string): void {
  const before: Value | undefined = node.inputs[index]
  const alone = before?.users.size === 1 && graph.initializers.has(before)
  if (alone && !graph.inputs.includes(before) && !graph.outputs.includes(before)) {
    before.tensor = tensor
    before.type = { dtype: tensor.dtype, shape: tensor.dims }
  } else {
    node.setInput(
      index,
      graph.addInitializer(before?.name ?? `${node.name || node.opType}.${kind}`, tensor),
    )
  }
}
