// GraphProto to Graph. Values are declared first and nodes linked afterwards, so the order of the nodes in the file
// does not matter here; a subgraph finds what it does not declare in the graphs around it.

import { type Contents, readAttribute } from './attribute-proto.ts'
import type { Origin } from './external.ts'
import { type Attribute, Graph, Node, Value, type ValueType } from './graph.ts'
import { invalid, quote } from './invalid.ts'
import { sortNodes } from './order.ts'
import { readPacked } from './packed.ts'
import {
  type AttributeProto,
  type GraphProto,
  keepFields,
  type NodeProto,
  replaceFields,
  type SparseTensorProto,
  type TensorProto,
  type ValueInfoProto,
} from './proto.ts'
import { readSparseTensor } from './sparse-proto.ts'
import type { Tensor } from './tensor.ts'
import { inlineExternalData, readTensor } from './tensor-proto.ts'
import { readType } from './type-proto.ts'

/** What a graph's `extra` holds: the message without what became nodes and values; value_info of other names. */
export type GraphExtra = Partial<GraphProto>

/** The names that a node may use: those of its graph, then those of the graphs around. */
interface Scope {
  readonly graph: Graph
  readonly values: Map<string, Value>
  readonly outer: Scope | undefined
}

/** Reads a graph and its subgraphs; what is wrong with it is a UserError without the file's name. */
export function readGraph(message: GraphProto, origin: Origin, outer?: Scope): Graph {
  const graph = new Graph(message.name, outer?.graph)
  const scope: Scope = { graph, values: new Map(), outer }
  for (const info of message.input as ValueInfoProto[])
    graph.inputs.push(declare(scope, info.name, readType(info.type), info))
  for (const tensor of message.initializer as TensorProto[])
    addInitializer(scope, tensor.name, readTensor(tensor, origin))
  for (const sparse of message.sparseInitializer as SparseTensorProto[])
    addInitializer(scope, sparse.values?.name ?? '', readSparseTensor(sparse, origin))
  const nodes = message.node as NodeProto[]
  const outputs = nodes.map((node) =>
    node.output.map((name) => (name === '' ? undefined : declare(scope, name))),
  )
  const valueInfo = readValueInfo(message.valueInfo as ValueInfoProto[], scope)
  const inputs = new Set(graph.inputs)
  for (const info of message.output as ValueInfoProto[])
    graph.outputs.push(readOutput(info, scope, inputs))
  for (const [index, node] of nodes.entries())
    graph.add(readNode(node, outputs[index] ?? [], scope, origin))
  sortNodes(graph)
  readPacked(graph)
  const extra: GraphExtra = replaceFields(keepFields(message, keptFields), { valueInfo })
  graph.extra = extra
  return graph
}

const keptFields = ['docString', 'quantizationAnnotation', 'metadataProps'] as const

function declare(scope: Scope, name: string, type?: ValueType, extra?: unknown): Value {
  if (name === '') throw invalid('a graph input or initializer has no name')
  if (scope.values.has(name)) throw invalid(`${quote(name)} is defined twice`)
  const value = new Value(name, type ? { type, extra } : { extra })
  scope.values.set(name, value)
  scope.graph.reserveName(name)
  return value
}

/** Like ONNX Runtime, the last of several initializers of one name counts. */
function addInitializer(scope: Scope, name: string, tensor: Tensor): void {
  const type = { dtype: tensor.dtype, shape: tensor.dims }
  const value = scope.values.get(name) ?? declare(scope, name, type)
  if (value.tensor) value.type = type
  value.tensor = tensor
  scope.graph.initializers.add(value)
}

/** Gives intermediate values their types; what is said of names that this graph does not define is returned. */
function readValueInfo(infos: readonly ValueInfoProto[], scope: Scope): ValueInfoProto[] {
  const inputs = new Set(scope.graph.inputs)
  return infos.filter((info) => {
    const value = scope.values.get(info.name)
    if (!value) {
      scope.graph.reserveName(info.name)
      return true
    }
    if (inputs.has(value)) return false
    value.type = value.tensor ? value.type : readType(info.type)
    value.extra = info
    return false
  })
}

function readOutput(info: ValueInfoProto, scope: Scope, inputs: ReadonlySet<Value>): Value {
  const value = find(info.name, scope)
  if (!value) throw invalid(`the graph output ${quote(info.name)} is made by nothing`)
  const isLocal = scope.values.get(info.name) === value
  if (isLocal && !inputs.has(value)) {
    value.type = readType(info.type) ?? value.type
    value.extra = info
  }
  return value
}

function find(name: string, scope: Scope | undefined): Value | undefined {
  for (let place = scope; place; place = place.outer) {
    const value = place.values.get(name)
    if (value) return value
  }
  return undefined
}

function readNode(
  message: NodeProto,
  outputs: readonly (Value | undefined)[],
  scope: Scope,
  origin: Origin,
): Node {
  const where = `node ${quote(message.name || message.output[0] || '')} (${quote(message.opType)})`
  const inputs = message.input.map((name) => {
    const value = name === '' ? undefined : find(name, scope)
    if (name !== '' && !value) throw invalid(`${where} uses ${quote(name)}, which nothing makes`)
    return value
  })
  const contents: Contents = {
    readTensor: (tensor) => readTensor(tensor, origin),
    readGraph: (graph) => readGraph(graph, origin, scope),
    keep: (kept) => inlineExternalData(kept, origin),
  }
  const attributes = new Map<string, Attribute>()
  for (const attribute of message.attribute as AttributeProto[]) {
    if (attributes.has(attribute.name))
      throw invalid(`${where} has the attribute ${quote(attribute.name)} twice`)
    attributes.set(attribute.name, readAttribute(attribute, contents))
  }
  scope.graph.reserveName(message.name)
  return new Node(message.opType, inputs, outputs, {
    name: message.name,
    domain: standardDomain(message.domain),
    attributes,
    extra: keepFields(message, ['docString', 'overload', 'metadataProps']),
  })
}

/** The standard domain may also be written 'ai.onnx'. */
export const standardDomain = (domain: string): string => (domain === 'ai.onnx' ? '' : domain)
