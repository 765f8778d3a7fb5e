// Leading the data past a part of a graph: whoever read what it makes reads what went into it.
import { type Graph, Node, Value } from '../graph.ts'

/**
 * Lets every user of a value, subgraphs included, read another one that is there before it, in place.
 *
 * Where the value is an output of the model, the name stays with the output, which an Identity makes. What is no longer
 * read stays until `removeDeadNodes`.
 */
export function bypass(graph: Graph, exit: Value, instead: Value): void {
  const at = graph.outputs.indexOf(exit)
  if (at >= 0) {
    const { name, type, extra } = exit
    exit.name = graph.uniqueName(name)
    const output = new Value(name, { ...(type && { type }), extra })
    graph.add(new Node('Identity', [instead], [output], { name: graph.uniqueName('Identity') }))
    for (const [place, value] of graph.outputs.entries())
      if (value === exit) graph.outputs[place] = output
  }
  graph.replaceUses(exit, instead)
}
