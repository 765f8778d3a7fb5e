// A copy of a model to edit, so that a stage never changes what it was given.
import { type Attribute, Graph, type Model, Node, Value } from './graph.ts'

/** Copies a model: graphs, nodes, values and attributes anew; tensors, which nobody changes, are shared. */
export function cloneModel(model: Model): Model {
  return {
    graph: cloneGraph(model.graph, new Map()),
    opsets: new Map(model.opsets),
    irVersion: model.irVersion,
    metadata: new Map(model.metadata),
    extra: model.extra,
  }
}

/** `copies` holds the values of the graphs around, which a subgraph may use. */
function cloneGraph(
  graph: Graph,
  copies: Map<Value, Value>,
  parent?: Graph,
  rename: (name: string) => string = (name) => name,
): Graph {
  const copy = new Graph(graph.name, parent)
  copy.extra = graph.extra
  if (!parent) for (const name of graph.names) copy.reserveName(name)
  const copyOf = copier(copies, rename)
  for (const input of graph.inputs) copy.inputs.push(copyOf(input))
  for (const initializer of graph.initializers) copy.initializers.add(copyOf(initializer))
  copyNodes(graph.nodes, copy, copies, rename)
  for (const output of graph.outputs) copy.outputs.push(copyOf(output))
  return copy
}

/**
 * Appends copies of nodes to a graph, subgraphs and all, under names that `rename` gives.
 *
 * `copies` says what takes the place of values, and is told of those that are copied; what is to be shared by several
 * copies stands there as itself.
 */
export function copyNodes(
  nodes: readonly Node[],
  into: Graph,
  copies: Map<Value, Value>,
  rename: (name: string) => string,
): void {
  const copyOf = copier(copies, rename)
  const copyOfAny = (value: Value | undefined) => value && copyOf(value)
  const copyAttribute = (attribute: Attribute): Attribute => {
    const cloneInner = (graph: Graph) => cloneGraph(graph, copies, into, rename)
    if (attribute.type === 'graph') return { ...attribute, value: cloneInner(attribute.value) }
    if (attribute.type === 'graphs') return { ...attribute, value: attribute.value.map(cloneInner) }
    return attribute
  }
  for (const node of nodes) {
    const { opType, domain, extra } = node
    const name = node.name && rename(node.name)
    const attributes = [...node.attributes].map(
      ([key, attribute]) => [key, copyAttribute(attribute)] as const,
    )
    const rest = { name, domain, extra, attributes }
    into.add(new Node(opType, node.inputs.map(copyOfAny), node.outputs.map(copyOfAny), rest))
  }
}

/** Gives the copy of a value, which is made when it is first asked for. */
const copier =
  (copies: Map<Value, Value>, rename: (name: string) => string) =>
  (value: Value): Value => {
    const known = copies.get(value)
    if (known) return known
    const { name, type, tensor, extra } = value
    const made = new Value(rename(name), {
      ...(type && { type }),
      ...(tensor && { tensor }),
      extra,
    })
    copies.set(value, made)
    return made
  }
