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
function cloneGraph(graph: Graph, copies: Map<Value, Value>, parent?: Graph): Graph {
  const copy = new Graph(graph.name, parent)
  copy.extra = graph.extra
  if (!parent) for (const name of graph.names) copy.reserveName(name)
  const copyOf = (value: Value): Value => {
    const known = copies.get(value)
    if (known) return known
    const { name, type, tensor, extra } = value
    const made = new Value(name, { ...(type && { type }), ...(tensor && { tensor }), extra })
    copies.set(value, made)
    return made
  }
  const copyOfAny = (value: Value | undefined) => value && copyOf(value)
  const copyAttribute = (attribute: Attribute): Attribute => {
    if (attribute.type === 'graph')
      return { ...attribute, value: cloneGraph(attribute.value, copies, copy) }
    if (attribute.type === 'graphs')
      return { ...attribute, value: attribute.value.map((one) => cloneGraph(one, copies, copy)) }
    return attribute
  }
  for (const input of graph.inputs) copy.inputs.push(copyOf(input))
  for (const initializer of graph.initializers) copy.initializers.add(copyOf(initializer))
  for (const node of graph.nodes) {
    const { opType, name, domain, extra } = node
    const attributes = [...node.attributes].map(
      ([key, attribute]) => [key, copyAttribute(attribute)] as const,
    )
    const rest = { name, domain, extra, attributes }
    copy.add(new Node(opType, node.inputs.map(copyOfAny), node.outputs.map(copyOfAny), rest))
  }
  for (const output of graph.outputs) copy.outputs.push(copyOf(output))
  return copy
}
