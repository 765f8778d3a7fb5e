// Which value inside a model holds what it has made of a sample just before it answers, and a model that gives it.
import { UserError } from '../../base/errors.ts'
import { suggest } from '../../base/suggest.ts'
import { build } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Graph, Model, Node, Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'

/** What makes logits: products of weights and features, in floats and in integers. */
// biome-ignore format: a list
const products: ReadonlySet<string> = new Set([
  'Conv', 'ConvInteger', 'DynamicQuantizeMatMul', 'FusedConv', 'FusedGemm', 'FusedMatMul', 'Gemm', 'MatMul',
  'MatMulInteger', 'MatMulIntegerToFloat', 'MatMulNBits', 'QGemm', 'QLinearConv', 'QLinearMatMul',
])

/** What makes integers of floats; their steps may change from batch to batch, so the floats before are looked at. */
const quantizers: ReadonlySet<string> = new Set(['DynamicQuantizeLinear', 'QuantizeLinear'])

/**
 * The penultimate features of a model: what enters the last product with weights on the way to its first output. Undefined
 * where there is no such product, or nothing but an input enters it.
 */
export function penultimate(graph: Graph): Value | undefined {
  const dependent = dependentOnInputs(graph)
  const through = (node: Node | undefined) =>
    node?.inputs.find((value) => value && dependent.has(value))
  let node = graph.outputs[0]?.producer
  while (node && !products.has(node.opType)) node = through(node)?.producer
  let features = through(node)
  while (features?.producer && quantizers.has(features.producer.opType))
    features = through(features.producer)
  return features?.producer && features
}

/**
 * A copy of a model whose only output is a value inside it: the one of this name, or the penultimate features.
 *
 * A model without it is a {@link UserError}.
 */
export function withFeatures(model: Model, name: string | undefined, where: string): Model {
  const copy = cloneModel(model)
  const { graph } = copy
  const found = name === undefined ? penultimate(graph) : valueNamed(graph, name, where)
  if (!found)
    throw new UserError(`${where}: has no features before its outputs — tap a value by name`)
  // An output must be made by a node.
  const features = found.producer ? found : build(graph).Identity(found)
  graph.outputs.splice(0, graph.outputs.length, features)
  removeDeadNodes(graph)
  return copy
}

function valueNamed(graph: Graph, name: string, where: string): Value {
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
  const value = [...graph.feeds, ...made].find((each) => each.name === name)
  if (value) return value
  const names = made.map((each) => each.name)
  throw new UserError(`${where}: has no value of that name: '${name}' — ${suggest(name, names)}`)
}

/** The values that depend on an input, so that they are about a sample. */
function dependentOnInputs(graph: Graph): ReadonlySet<Value> {
  const dependent = new Set<Value>(graph.feeds)
  for (const { inputs, outputs } of graph.nodes)
    if (inputs.some((value) => value && dependent.has(value)))
      for (const output of outputs) if (output) dependent.add(output)
  return dependent
}
