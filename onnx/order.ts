// Topological order of a graph's nodes, values that subgraphs take from around them included.
import type { Graph, Node, Value } from './graph.ts'
import { invalid, quote } from './invalid.ts'

/**
 * Puts the nodes in topological order; an order that is one already stays as it is.
 *
 * A cycle is a {@link UserError}.
 */
export function sortNodes(graph: Graph): void {
  const nodes = graph.nodes
  const position = new Map(nodes.map((node, index) => [node, index]))
  const needs = nodes.map((node) =>
    [...usedValues(node)].flatMap((value) => {
      const index = value.producer && position.get(value.producer)
      return index === undefined ? [] : [index]
    }),
  )
  if (needs.every((producers, index) => producers.every((producer) => producer < index))) return
  graph.reorder(order(needs, (index) => nodes[index]).map((index) => nodes[index] as Node))
}

/** The values that a node and its subgraphs take from anywhere. */
function* usedValues(node: Node): Generator<Value> {
  for (const input of node.inputs) if (input) yield input
  for (const subgraph of node.subgraphs) {
    yield* subgraph.outputs
    for (const inner of subgraph.nodes) yield* usedValues(inner)
  }
}

/** Depth first without recursion: a chain of nodes may be as long as the file. */
function order(needs: readonly number[][], nodeAt: (index: number) => Node | undefined): number[] {
  const sorted: number[] = []
  const state = new Uint8Array(needs.length)
  const [open, done] = [1, 2]
  for (const root of needs.keys()) {
    const stack = [root]
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (state[top] === open || state[top] === done) {
        stack.pop()
        if (state[top] === open) sorted.push(top)
        state[top] = done
        continue
      }
      state[top] = open
      for (const producer of needs[top] ?? []) {
        if (state[producer] === open) throw cycle(nodeAt(producer))
        if (state[producer] !== done) stack.push(producer)
      }
    }
  }
  return sorted
}

const cycle = (node: Node | undefined): Error =>
  invalid(
    `node ${quote(node?.name || node?.outputs.find(Boolean)?.name || '')} needs its own output`,
  )
