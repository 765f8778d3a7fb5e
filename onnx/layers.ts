// The layers of a graph as people see them: nodes that multiply with weights.

import { constantOf, type Graph, type Node, type Value } from './graph.ts'
import { multiplications } from './multiplications.ts'

/** A layer with weights: a node that multiplies with a constant. */
export interface Layer {
  /** The node's name, or its output's where it has none. */
  readonly name: string
  readonly opType: string
  readonly node: Node
  /** Which input of the node the weight is. */
  readonly input: number
  /** The constant, of two axes or more. */
  readonly weight: Value
}

/** The layers with weights of a graph, in order. */
export function layersOf(graph: Graph): Layer[] {
  return graph.nodes.flatMap((node) =>
    (multiplications[node.opType]?.weights ?? []).flatMap((input) => {
      const weight = node.inputs[input]
      const rank = constantOf(weight)?.dims.length ?? 0
      return weight && rank > 1
        ? [{ name: layerName(node), opType: node.opType, node, input, weight }]
        : []
    }),
  )
}

/** The layers of the graphs inside a graph: of branches and loops. */
export const innerLayers = (graph: Graph): Layer[] =>
  graph.nodes.flatMap(({ subgraphs }) =>
    subgraphs.flatMap((inner) => [...layersOf(inner), ...innerLayers(inner)]),
  )

/** What a node is called in selectors and messages: its name, or its first output's where it has none. */
export const layerName = (node: Node): string => node.name || (node.outputs[0]?.name ?? '')
