// Which vectors of a training graph may be overwritten by their next content while the graph runs.
import type { Graph, Node, Value } from '../onnx/graph.ts'

/** Operators whose output may share the memory of their input. */
const views: ReadonlySet<string> = new Set([
  'Flatten',
  'Identity',
  'Reshape',
  'Slice',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
])

/** Operators that read and write the same place of both vectors at a time. */
const elementwise: ReadonlySet<string> = new Set(['Add', 'Div', 'Mul', 'Sub'])

/**
 * Of vectors with an input `name` and an output `name_next`: those for which every node that reads the input has run
 * before the one that writes the output, whatever order the nodes run in.
 */
export function safeInPlace(graph: Graph, names: readonly string[]): ReadonlySet<string> {
  return new Set(
    names.filter((name) => {
      const input = graph.inputs.find((value) => value.name === name)
      const writer = graph.outputs.find((value) => value.name === `${name}_next`)?.producer
      if (!input || !writer) return false
      const before = ancestorsOf(writer)
      return readersOf(input).every(
        (reader) => before.has(reader) || (reader === writer && elementwise.has(writer.opType)),
      )
    }),
  )
}

/** Every node that reads a value, or another that may be a view of it. */
function readersOf(value: Value): Node[] {
  const found = new Set<Node>()
  const values = [value]
  for (const each of values)
    for (const user of each.users) {
      if (!found.has(user) && views.has(user.opType)) values.push(user.output())
      found.add(user)
    }
  return [...found]
}

/** Every node on whose outputs a node depends. */
function ancestorsOf(node: Node): ReadonlySet<Node> {
  const found = new Set<Node>()
  const open = [node]
  for (const each of open)
    for (const { producer } of each.inputs.flatMap((input) => input ?? []))
      if (producer && !found.has(producer)) {
        found.add(producer)
        open.push(producer)
      }
  return found
}
