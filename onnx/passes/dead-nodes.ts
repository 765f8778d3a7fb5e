// Dead nodes: whatever no output depends on.
import { allNodes, type Graph, type Node, type Value } from '../graph.ts'

/**
 * Removes the nodes and initializers that no output depends on, in subgraphs too.
 *
 * Inputs that a caller has to feed stay, used or not: they are the model's interface.
 */
export function removeDeadNodes(graph: Graph): boolean {
  let changed = false
  for (const node of graph.nodes)
    for (const subgraph of node.subgraphs) changed = removeDeadNodes(subgraph) || changed

  const alive = new Set<Node>()
  const pending = graph.outputs.map((output) => output.producer)
  for (let node = pending.pop(); node || pending.length > 0; node = pending.pop()) {
    if (!node || alive.has(node)) continue
    alive.add(node)
    pending.push(...usedBy(node).map((value) => value.producer))
  }
  const dead = graph.nodes.filter((node) => !alive.has(node))
  if (dead.length > 0) {
    // What a dead branch reads is no longer read.
    for (const node of dead)
      for (const subgraph of node.subgraphs)
        for (const inner of allNodes(subgraph)) inner.truncateInputs(0)
    graph.retain((node) => alive.has(node))
    changed = true
  }
  return removeUnusedInitializers(graph) || changed
}

/** Removes initializers without a user; in old files they are listed among the inputs too. */
export function removeUnusedInitializers(graph: Graph): boolean {
  const unused = [...graph.initializers].filter(
    (value) => value.users.size === 0 && !graph.outputs.includes(value),
  )
  for (const value of unused) {
    graph.initializers.delete(value)
    const index = graph.inputs.indexOf(value)
    if (index >= 0) graph.inputs.splice(index, 1)
  }
  return unused.length > 0
}

/** The values that a node needs: its inputs and what its subgraphs take from around them. */
function usedBy(node: Node): Value[] {
  const nodes = [node, ...node.subgraphs.flatMap((subgraph) => [...allNodes(subgraph)])]
  return nodes.flatMap((each) => each.inputs.filter((input) => input !== undefined))
}
