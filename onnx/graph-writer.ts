// Graph to GraphProto.
import { writeAttribute } from './attribute-proto.ts'
import type { Graph, Node, Value } from './graph.ts'
import type { GraphExtra } from './graph-reader.ts'
import { packedOf, unpacking } from './packed.ts'
import {
  type GraphProto,
  type NodeProto,
  replaceFields,
  type SparseTensorProto,
  type TensorProto,
} from './proto.ts'
import { writeSparseTensor } from './sparse-proto.ts'
import { type Placement, writeTensor } from './tensor-proto.ts'
import { writeValueInfo } from './type-proto.ts'

/**
 * Writes a graph and its subgraphs; `place` says which tensors go into another file.
 *
 * Where `packed` is true, initializers that are packed are written so, and dense otherwise.
 */
export function writeGraph(graph: Graph, place: Placement, packed = false): Partial<GraphProto> {
  // `extra` of a graph is set by the reader alone.
  const extra = graph.extra as GraphExtra | undefined
  const names = definedNames(graph)
  const initializer: Partial<TensorProto>[] = []
  const sparseInitializer: Partial<SparseTensorProto>[] = []
  const unpack = packed ? unpacking(graph) : undefined
  for (const value of [...(unpack?.initializers ?? []), ...graph.initializers]) {
    if (!value.tensor) throw new Error(`internal: initializer '${value.name}' has no tensor`)
    if (unpack && packedOf(value.tensor)) continue
    const sparse = writeSparseTensor(value.tensor, value.name)
    if (sparse) sparseInitializer.push(sparse)
    else initializer.push(writeTensor(value.tensor, value.name, place))
  }
  return replaceFields<GraphProto>(extra, {
    name: graph.name,
    node: [...(unpack?.nodes ?? []), ...graph.nodes].map((node) => writeNode(node, place)),
    initializer,
    sparseInitializer,
    input: graph.inputs.map(writeValueInfo),
    output: graph.outputs.map(writeValueInfo),
    valueInfo: [...innerValues(graph).map(writeValueInfo), ...(extra?.valueInfo ?? [])],
    // An annotation of a value that is gone would be an error in the file.
    quantizationAnnotation: (extra?.quantizationAnnotation ?? []).filter(({ tensorName }) =>
      names.has(tensorName),
    ),
  })
}

/** Names of all values that the graph defines; that two values share one is a bug. */
function definedNames(graph: Graph): Set<string> {
  const made = graph.nodes.flatMap((node) => node.outputs.filter((output) => output !== undefined))
  const names = new Set<string>()
  for (const value of new Set([...graph.inputs, ...graph.initializers, ...made])) {
    if (names.has(value.name)) throw new Error(`internal: two values are called '${value.name}'`)
    names.add(value.name)
  }
  return names
}

/** Values that are neither inputs nor outputs, and of which more than a tensor is known. */
function innerValues(graph: Graph): Value[] {
  const listed = new Set([...graph.inputs, ...graph.outputs])
  const made = graph.nodes.flatMap((node) => node.outputs)
  return [...graph.initializers, ...made].filter(
    (value) =>
      value !== undefined && !listed.has(value) && (value.extra || (value.type && !value.tensor)),
  ) as Value[]
}

function writeNode(node: Node, place: Placement): Partial<NodeProto> {
  const attribute = [...node.attributes].map(([name, value]) =>
    writeAttribute(
      name,
      value,
      (tensor) => writeTensor(tensor, undefined, place),
      (graph) => writeGraph(graph, place),
    ),
  )
  // `extra` of a node is set by the reader alone.
  return replaceFields<NodeProto>(node.extra as NodeProto | undefined, {
    input: node.inputs.map((input) => input?.name ?? ''),
    output: node.outputs.map((output) => output?.name ?? ''),
    opType: node.opType,
    ...(node.name === '' ? {} : { name: node.name }),
    ...(node.domain === '' ? {} : { domain: node.domain }),
    attribute,
  })
}
