// Writing nodes between those that a graph has, with names that take few bytes.
import { type Attributes, attributeOf } from '../../onnx/build.ts'
import { type Graph, Node, Value } from '../../onnx/graph.ts'

/** Collects the nodes of a graph in a new order, old ones and new ones. */
export interface OrderedWriter {
  /** A value with a short name. */
  value(base: string): Value
  /** A new node that makes a value, after all nodes so far. */
  node(
    opType: string,
    inputs: readonly Value[],
    output: Value,
    attributes?: Attributes,
    domain?: string,
  ): Value
  /** A node of the graph, after all nodes so far; each has to be kept once. */
  keep(node: Node): void
  /** Gives the graph the nodes in the order that they came in. */
  finish(): void
}

/** Begins a new order of a graph's nodes. */
export function orderedWriter(graph: Graph): OrderedWriter {
  const order: Node[] = []
  const added: Node[] = []
  return {
    value: (base) => new Value(graph.uniqueName(base)),
    node(opType, inputs, output, attributes = {}, domain = '') {
      const typed = Object.entries(attributes).map(
        ([name, value]) => [name, attributeOf(name, value)] as const,
      )
      const node = new Node(opType, inputs, [output], { attributes: typed, domain })
      added.push(node)
      order.push(node)
      return output
    },
    keep(node) {
      order.push(node)
    },
    finish() {
      graph.add(added)
      graph.reorder(order)
    },
  }
}
