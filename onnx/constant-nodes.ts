// The nodes of a graph that depend on constants alone: a runtime computes them once, when it opens the file.
import { allNodes, type Graph, type Node } from './graph.ts'

/** Operators that give something else each time. */
export const randomOperators: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
])

/** Finds them, in subgraphs too; a node with subgraphs is none, for these may read anything. */
export function constantNodes(graph: Graph): ReadonlySet<Node> {
  const found = new Set<Node>()
  for (const node of allNodes(graph)) {
    const isConstant = node.inputs.every(
      (input) => !input || input.tensor || (input.producer && found.has(input.producer)),
    )
    if (isConstant && node.subgraphs.length === 0 && !randomOperators.has(node.opType))
      found.add(node)
  }
  return found
}
