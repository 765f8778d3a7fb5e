// Branches of If, whose values are followed like any others; the bodies of Loop and Scan are not.

import { allNodes, type Graph, type Node, type Value } from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import { statedShape } from '../onnx/multiplications.ts'
import type { Rule } from './rule.ts'
import { slot, type Tie, tie } from './ties.ts'

/** A graph with the graphs in it that are followed. */
export interface Scope {
  /** The nodes that rules are asked about, those of branches before the If that they belong to. */
  readonly nodes: ReadonlySet<Node>
  /** What the model and all its subgraphs give: values that are used without a node that takes them. */
  readonly outputs: ReadonlySet<Value>
  /** The If nodes that a branch gives a value to. */
  readonly takers: ReadonlyMap<Value, readonly Node[]>
  /** The graph that each node is in. */
  readonly graphs: ReadonlyMap<Node, Graph>
}

/** True for a node whose subgraphs are followed. */
const isConditional = ({ domain, opType }: Node): boolean => domain === '' && opType === 'If'

/** Looks at a graph and at what it holds. */
export function scopeOf(graph: Graph): Scope {
  const nodes = new Set<Node>()
  const outputs = new Set<Value>()
  const takers = new Map<Value, Node[]>()
  const graphs = new Map<Node, Graph>()
  const look = (inner: Graph, followed: boolean): void => {
    for (const output of inner.outputs) outputs.add(output)
    for (const node of inner.nodes) {
      const conditional = followed && isConditional(node)
      for (const subgraph of node.subgraphs) {
        look(subgraph, conditional)
        for (const output of conditional ? subgraph.outputs : [])
          takers.set(output, [...(takers.get(output) ?? []), node])
      }
      if (followed) nodes.add(node)
      graphs.set(node, inner)
    }
  }
  look(graph, true)
  return { nodes, outputs, takers, graphs }
}

/** Says of a node that is not followed where it is. */
export function describeInner(node: Node, graph: Graph): string {
  const around = graph.nodes.find(({ subgraphs }) =>
    subgraphs.some((subgraph) => [...allNodes(subgraph)].includes(node)),
  )
  const where = around ? `in ${around.opType} '${layerName(around)}'` : 'in a subgraph'
  return `${node.opType} '${layerName(node)}' is ${where}`
}

/** What either branch gives is what the node gives, axis by axis where all sizes are the same. */
export const conditional: Rule = {
  ties(node) {
    const ties = node.outputs.flatMap((output, index): Tie[] => {
      const given = node.subgraphs.flatMap((branch) => branch.outputs[index] ?? [])
      if (!output || given.some((value) => !statedShape(value))) return []
      const whole = statedShape(output) ?? []
      const same = (value: Value, axis: number) =>
        statedShape(value)?.length === whole.length && statedShape(value)?.[axis] === whole[axis]
      return whole.flatMap((_, axis) =>
        given.every((value) => same(value, axis))
          ? given.map((value) => tie(slot(output, axis), slot(value, axis)))
          : [],
      )
    })
    return { ties, everyOutput: true }
  },
}

/** Loop and Scan. */
export const repetition: Rule = { ties: () => 'repeats a subgraph' }
