// Common subexpressions: equal nodes with the same inputs are computed once.
import { createHash } from 'node:crypto'
import { type Attribute, allNodes, type Graph, type Node, type Value } from '../graph.ts'
import type { Tensor } from '../tensor.ts'

/** Operators that give something else each time. */
const random: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Dropout',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
])

/**
 * Lets the users of a node use an earlier one that computes the same, and removes the later.
 *
 * Nodes with subgraphs and nodes that make an output stay. Constants are never merged, however equal: two weights
 * that start equal are still two weights.
 */
export function mergeCommonSubexpressions(graph: Graph): boolean {
  const subgraphs = [...allNodes(graph)].flatMap((node) => node.subgraphs)
  const kept = new Set([graph, ...subgraphs].flatMap((each) => each.outputs))
  const numbersOf = new Map<Value, number>()
  const numberOf = (value: Value | undefined): number => {
    if (!value) return -1
    const number = numbersOf.get(value) ?? numbersOf.size
    numbersOf.set(value, number)
    return number
  }
  const first = new Map<string, Node>()
  const merged = new Set<Node>()
  for (const node of graph.nodes) {
    if (random.has(node.opType) || node.opType === 'Constant' || node.subgraphs.length > 0) continue
    const attributes = [...node.attributes].sort(([a], [b]) => (a < b ? -1 : 1))
    if (attributes.some(([, attribute]) => attribute.type === 'other')) continue
    const key = JSON.stringify([
      node.domain,
      node.opType,
      node.inputs.map(numberOf),
      node.outputs.map((output) => output !== undefined),
      attributes.map(([name, attribute]) => [name, attribute.type, contentOf(attribute)]),
    ])
    const earlier = first.get(key)
    if (!earlier) {
      first.set(key, node)
    } else if (!node.outputs.some((output) => output !== undefined && kept.has(output))) {
      for (const [index, output] of node.outputs.entries())
        if (output) graph.replaceUses(output, earlier.output(index))
      merged.add(node)
    }
  }
  if (merged.size > 0) graph.retain((node) => !merged.has(node))
  return merged.size > 0
}

function contentOf(attribute: Attribute): unknown {
  if (attribute.type === 'tensor') return tensorKey(attribute.value)
  if (attribute.type === 'float' || attribute.type === 'floats')
    // JSON has neither infinities nor a negative zero.
    return [attribute.value].flat().map((value) => (Object.is(value, -0) ? '-0' : String(value)))
  return attribute.value
}

function tensorKey(tensor: Tensor): unknown {
  const hash = createHash('sha256').update(tensor.bytes)
  for (const string of tensor.strings ?? []) hash.update(`${string.length}:`).update(string)
  return [tensor.dtype, tensor.dims, hash.digest('hex')]
}
