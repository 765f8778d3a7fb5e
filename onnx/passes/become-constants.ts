// Nodes whose result is known give way to it.
import type { Graph, Node, Value } from '../graph.ts'
import type { Tensor } from '../tensor.ts'

/** Replaces nodes of one output by initializers of the same name; true if there were any. */
export function becomeConstants(graph: Graph, known: ReadonlyMap<Node, Tensor>): boolean {
  if (known.size === 0) return false
  graph.retain((node) => !known.has(node))
  for (const [node, tensor] of known) becomeConstant(graph, node.output(), tensor)
  return true
}

/** Makes a value that no node gives any more an initializer. */
export function becomeConstant(graph: Graph, value: Value, tensor: Tensor): void {
  value.tensor = tensor
  value.type = { dtype: tensor.dtype, shape: tensor.dims }
  graph.initializers.add(value)
}
