// Embeddings in 8 bits: a table of which rows are gathered is stored as integers with a scale for each row, and what was
// gathered is multiplied out. No other kernel is needed, so that every runtime has it.
import { build } from '../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { dataTypes, elements, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { quantizeWeights } from './arithmetic.ts'

/** Bytes that the additional nodes take in a file, about. */
const nodeBytes = 200

/**
 * Stores embeddings in 8 bits, in branches too, where that takes fewer bytes; gives how many there were.
 *
 * An embedding is a Gather along the first axis of a constant float32 table of two axes or more. A table that anything
 * else reads, or an excluded node, stays float, for it would have to be stored twice.
 */
export function quantizeEmbeddings(graph: Graph, excluded: ReadonlySet<Node>): number {
  const inner = graph.nodes
    .flatMap(({ subgraphs }) => subgraphs)
    .map((subgraph) => quantizeEmbeddings(subgraph, excluded))
  /** Every table with its integers and scales. */
  const stored = new Map<Value, readonly [integers: Value, scales: Value]>()
  let count = 0
  for (const node of graph.nodes) {
    const table = tableOf(graph, node, excluded)
    if (!table) continue
    const value = node.input(0)
    const parts = stored.get(value) ?? store(graph, value, table)
    stored.set(value, parts)
    const g = build(graph, node)
    const indices = node.input(1)
    const rows = g.Cast(g.Gather(parts[0], indices), { to: dataTypes.float32.code })
    const result = g.Mul(rows, g.Gather(parts[1], indices))
    const output = node.output()
    graph.remove(node)
    node.setOutput(0, undefined)
    result.producer?.setOutput(0, output)
    count++
  }
  return inner.reduce((sum, number) => sum + number, count)
}

/** The table of an embedding that is worth storing in 8 bits. */
function tableOf(graph: Graph, node: Node, excluded: ReadonlySet<Node>): Tensor | undefined {
  if (!isEmbedding(node) || excluded.has(node)) return undefined
  const value = node.input(0)
  const tensor = constantOf(value)
  if (tensor?.dtype !== 'float32' || tensor.dims.length < 2 || graph.outputs.includes(value))
    return undefined
  const saved = tensor.size * 3 - tensor.dims[0]! * 4
  if (saved < nodeBytes * value.users.size) return undefined
  const alone = [...value.users].every((user) => isEmbedding(user) && !excluded.has(user))
  return alone ? tensor : undefined
}

const isEmbedding = (node: Node): boolean =>
  node.opType === 'Gather' && node.domain === '' && node.number('axis', 0) === 0

/** Rows of zeros keep the scale 1. */
function store(
  graph: Graph,
  { name }: Value,
  table: Tensor,
): readonly [integers: Value, scales: Value] {
  const { dims } = table
  const { values, scales } = quantizeWeights(elements(table, 'float32'), dims, 0, 8)
  const perRow = dims.map((dim, axis) => (axis === 0 ? dim : 1))
  return [
    graph.addInitializer(name, tensorOf('int8', dims, values)),
    graph.addInitializer('s', tensorOf('float32', perRow, scales)),
  ]
}
