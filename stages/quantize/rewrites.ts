// Rewrites that give a graph the forms for which there are 8-bit kernels. Each keeps what the graph computes, apart from
// rounding in float32.
import { build } from '../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value, type ValueType } from '../../onnx/graph.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { quantizationRuleOf } from './operators.ts'

/** What a rewrite may look at besides its node. */
interface Surroundings {
  readonly graph: Graph
  readonly types: ReadonlyMap<Value, ValueType>
  /** Nodes that have to stay as they are. */
  readonly excluded: ReadonlySet<Node>
}

/** Changes a node or what is around it; true when it did. */
type Rewrite = (node: Node, surroundings: Surroundings) => boolean

/** The content of a float32 constant. */
function floatsOf(value: Value | undefined): { tensor: Tensor; values: Float32Array } | undefined {
  const tensor = constantOf(value)
  return tensor?.dtype === 'float32' ? { tensor, values: elements(tensor, 'float32') } : undefined
}

/** Puts a constant, made from another by a function of its elements, at an input. */
function setConstant(
  graph: Graph,
  node: Node,
  index: number,
  tensor: Tensor,
  of: (value: number) => number,
): void {
  const values = elements(tensor, 'float32').map(of)
  const name = node.inputs[index]?.name ?? 'constant'
  node.setInput(index, graph.addInitializer(name, tensorOf('float32', tensor.dims, values)))
}

const sumToAdd: Rewrite = (node) => {
  if (node.inputs.length !== 2) return false
  node.opType = 'Add'
  return true
}

/** x - c = x + (-c), and x / c = x * (1 / c). */
const withInverse =
  (opType: string, inverse: (value: number) => number): Rewrite =>
  (node, { graph }) => {
    const constant = floatsOf(node.inputs[1])
    if (!constant?.values.every((value) => Number.isFinite(inverse(value)))) return false
    setConstant(graph, node, 1, constant.tensor, inverse)
    node.opType = opType
    return true
  }

/** alpha * A * B + beta * C with constant B and C becomes A * (alpha * B) + (beta * C). */
const foldGemmFactors: Rewrite = (node, { graph }) => {
  const [alpha, beta] = [node.number('alpha', 1), node.number('beta', 1)]
  const [weights, bias] = [floatsOf(node.inputs[1]), floatsOf(node.inputs[2])]
  if ((alpha === 1 && beta === 1) || !weights || (node.inputs[2] && !bias)) return false
  if (alpha !== 1) setConstant(graph, node, 1, weights.tensor, (value) => alpha * value)
  if (beta !== 1 && bias) setConstant(graph, node, 2, bias.tensor, (value) => beta * value)
  node.attributes.delete('alpha')
  node.attributes.delete('beta')
  return true
}

/** A constant that is added to the channels of a Conv, Gemm or MatMul goes into its bias. */
const addToBias: Rewrite = (node, { graph, types, excluded }) => {
  const index = [1, 0].find((candidate) => floatsOf(node.inputs[candidate]))
  const added = index === undefined ? undefined : floatsOf(node.inputs[index])
  const sum = index === undefined ? undefined : node.inputs[1 - index]
  const layer = sum?.producer
  if (!added || !layer || layer.domain !== '' || excluded.has(layer)) return false
  if (sum.users.size > 1 || graph.outputs.includes(sum)) return false
  const weights = constantOf(layer.inputs[1])
  const rule = quantizationRuleOf(layer)
  if (!weights || rule?.kind !== 'layer' || !rule.supports(layer, weights)) return false
  const bias = layer.opType === 'MatMul' ? undefined : layer.inputs[2]
  const old = floatsOf(bias)
  if (bias && !old) return false
  // Gemm has a bias where MatMul has none, but takes matrices only.
  if (layer.opType === 'MatMul' && types.get(layer.input(0))?.shape?.length !== 2) return false

  const channels = weights.dims[rule.channelAxis(layer, weights)]!
  const behind = layer.opType === 'Conv' ? weights.dims.length - 2 : 0
  const { dims } = added.tensor
  const channelDims = dims.slice(0, dims.length - behind)
  const perChannel =
    (sizeOf(dims) === channels && (channels === 1 || channelDims.at(-1) === channels)) ||
    sizeOf(dims) === 1
  if (!perChannel || dims.length > behind + 2) return false
  if (old && old.values.length !== channels) return false
  const values = Float32Array.from(
    { length: channels },
    (_, c) => (old?.values[c] ?? 0) + added.values[added.values.length === 1 ? 0 : c]!,
  )
  if (layer.opType === 'MatMul') layer.opType = 'Gemm'
  layer.setInput(
    2,
    graph.addInitializer(bias?.name ?? 'bias', tensorOf('float32', [channels], values)),
  )
  takeOver(graph, layer, node)
  return true
}

/** BatchNormalization that no layer before it could take in is a convolution of each channel with one number. */
const normalizationToConv: Rewrite = (node, { graph, types }) => {
  const parameters = [1, 2, 3, 4].map((index) => floatsOf(node.inputs[index])?.values)
  const inference = node.number('training_mode', 0) === 0 && node.outputs.length === 1
  if (!inference || types.get(node.input(0))?.shape?.length !== 4) return false
  const [scale, shift, mean, variance] = parameters
  if (!scale || !shift || !mean || !variance) return false
  const epsilon = node.number('epsilon', 1e-5)
  const factor = scale.map((value, c) => value / Math.sqrt(variance[c]! + epsilon))
  const offset = shift.map((value, c) => value - mean[c]! * factor[c]!)
  const channels = factor.length
  node.opType = 'Conv'
  node.attributes.clear()
  node.attributes.set('group', { type: 'int', value: channels })
  const [weightName, biasName] = [node.input(1).name, node.input(2).name]
  node.truncateInputs(1)
  const weights = tensorOf('float32', [channels, 1, 1, 1], factor)
  node.setInput(1, graph.addInitializer(weightName, weights))
  node.setInput(2, graph.addInitializer(biasName, tensorOf('float32', [channels], offset)))
  return true
}

/** Lets a node make the output of another, which is removed. */
function takeOver(graph: Graph, node: Node, other: Node): void {
  const output = other.output()
  graph.remove(other)
  other.setOutput(0, undefined)
  node.setOutput(0, output)
}

/** Clipping comes before what only moves elements, so that it stands behind the layer that it can be merged with. */
const clipEarlier: Rewrite = (node, { graph, excluded }) => {
  const moved = node.inputs[0]
  const mover = moved?.producer
  const rule = mover && quantizationRuleOf(mover)
  if (!moved || !mover || rule?.kind !== 'passing' || !rule.supports(mover)) return false
  const source = mover.input(0)
  if (moved.users.size > 1 || graph.outputs.includes(moved) || excluded.has(mover)) return false
  if (mover.outputs.length > 1 || source.users.size > 1 || !source.producer) return false
  // source → mover → moved → node → output becomes source → node → clipped → mover → output.
  const { graph: _, ...g } = build(graph, mover)
  const [clipped] = g.node(node.opType, [source, ...node.inputs.slice(1)], {
    inPlaceOf: node,
  })
  mover.setInput(0, clipped)
  takeOver(graph, mover, node)
  return true
}

const rewrites: Readonly<Record<string, Rewrite>> = {
  Sum: sumToAdd,
  Sub: withInverse('Add', (value) => -value),
  Div: withInverse('Mul', (value) => Math.fround(1 / value)),
  Gemm: foldGemmFactors,
  Add: addToBias,
  BatchNormalization: normalizationToConv,
  Relu: clipEarlier,
  Clip: clipEarlier,
}

/** Applies the rewrites until nothing changes; nodes in `excluded` stay as they are. */
export function rewriteForQuantization(
  graph: Graph,
  types: ReadonlyMap<Value, ValueType>,
  excluded: ReadonlySet<Node>,
): void {
  let changed = true
  while (changed) {
    changed = false
    const alive = new Set(graph.nodes)
    for (const node of alive) {
      const gone = node.outputs.every((output) => output === undefined)
      if (gone || node.domain !== '' || excluded.has(node)) continue
      if (rewrites[node.opType]?.(node, { graph, types, excluded })) changed = true
    }
  }
}
