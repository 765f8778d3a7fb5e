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

/** Operators that leave their first input as it is but for some places, and copy nothing where it is the output. */
const overwriting: ReadonlySet<string> = new Set(['ScatterElements'])

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
      const seen = viewsOf(input)
      const overwrites =
        overwriting.has(writer.opType) &&
        writer.inputs.every((each, index) => index === 0 || !each || !seen.has(each))
      const readsAsItWrites = elementwise.has(writer.opType) || overwrites
      return [...seen]
        .flatMap(({ users }) => [...users])
        .every((reader) => before.has(reader) || (reader === writer && readsAsItWrites))
    }),
  )
}

/** A value and all others that may be views of it. */
function viewsOf(value: Value): ReadonlySet<Value> {
  const found = new Set([value])
  for (const each of found)
    for (const user of each.users) if (views.has(user.opType)) found.add(user.output())
  return found
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
