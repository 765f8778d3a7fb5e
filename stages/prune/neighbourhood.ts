// The layers around a group of channels as a model of its own: what gets faster when the group is cut, and little else.
import { hashOf } from '../../base/hash.ts'
import { random } from '../../base/random.ts'
import type { Group } from '../../channels/groups.ts'
import { copyNodes } from '../../onnx/clone.ts'
import { allNodes, Graph, type Model, type Node, type Value } from '../../onnx/graph.ts'
import { byteLengthOf, Tensor } from '../../onnx/tensor.ts'
import { writeNumbers } from '../../runtime/convert.ts'

/** The nodes of a model's graph that a cut of the group changes, in order. */
export function nodesAround(model: Model, group: Group): Node[] {
  const touched = new Set<Node>()
  for (const { place } of group.parts) {
    const { value, owner } = place
    if (value.producer) touched.add(value.producer)
    for (const user of owner ? [owner] : value.users) touched.add(user)
  }
  return model.graph.nodes.filter(
    (node) => touched.has(node) || innerNodes(node).some((inner) => touched.has(inner)),
  )
}

const innerNodes = (node: Node): Node[] =>
  node.subgraphs.flatMap((subgraph) => [...allNodes(subgraph)])

/** Values that a node takes from around it, those of its subgraphs included. */
function takenBy(node: Node): Value[] {
  const inner = innerNodes(node)
  const own = new Set<Value>(
    inner.flatMap(({ outputs }) => outputs.filter((one) => one !== undefined)),
  )
  for (const { subgraphs } of [node, ...inner])
    for (const { inputs, initializers } of subgraphs)
      for (const value of [...inputs, ...initializers]) own.add(value)
  return [node, ...inner]
    .flatMap(({ inputs }) => inputs)
    .filter((value) => value !== undefined && !own.has(value)) as Value[]
}

/**
 * Copies some nodes of a model into a model of their own: what they take from others becomes an input, with the type
 * that `typeOf` knows by its name, and what others take from them an output.
 *
 * Undefined where the shape of such an input is not known.
 */
export function extract(
  { graph, opsets, irVersion }: Model,
  nodes: readonly Node[],
  typeOf: (name: string) => Value['type'],
): Model | undefined {
  const own = new Graph('neighbourhood')
  const copies = new Map<Value, Value>()
  const made = new Set(nodes.flatMap(({ outputs }) => outputs))
  for (const node of nodes)
    for (const value of takenBy(node)) {
      if (copies.has(value) || made.has(value)) continue
      if (value.tensor) {
        copies.set(value, own.addInitializer(value.name, value.tensor))
        continue
      }
      const type = typeOf(value.name)
      if (!type?.shape?.every((dim) => typeof dim === 'number')) return undefined
      copies.set(value, own.addInput(value.name, type))
    }
  copyNodes(nodes, own, copies, (name) => name)
  const inside = new Set(nodes.flatMap((node) => [node, ...innerNodes(node)]))
  for (const node of nodes)
    for (const output of node.outputs) {
      const copy = output && copies.get(output)
      if (!output || !copy || output.name === '') continue
      copy.type = output.type && { dtype: output.type.dtype }
      const isTaken =
        graph.outputs.includes(output) || [...output.users].some((user) => !inside.has(user))
      if (isTaken || output.users.size === 0) own.outputs.push(copy)
    }
  return { graph: own, opsets: new Map(opsets), irVersion, metadata: new Map(), extra: undefined }
}

/** Tensors for all inputs of a model whose shapes are known: random floats, and zeros for everything else. */
export function anyFeeds({ graph }: Model): Record<string, Tensor> | undefined {
  const feeds: Record<string, Tensor> = {}
  for (const { name, type } of graph.feeds) {
    if (!type?.shape?.every((dim) => typeof dim === 'number')) return undefined
    const dims = type.shape as number[]
    const tensor = new Tensor(type.dtype, dims, new Uint8Array(byteLengthOf(type.dtype, dims)))
    if (/^b?float/.test(type.dtype)) {
      const { normal } = random(0, 'feeds', name)
      writeNumbers(
        tensor,
        Float32Array.from({ length: tensor.size }, () => normal()),
      )
    }
    feeds[name] = tensor
  }
  return feeds
}

/** Constants of so few numbers are settings, which decide what is computed; larger ones are weights. */
const mostSettings = 64

/**
 * What a model computes, whatever its values, nodes and weights are called or hold: models of one structure take the
 * same time.
 */
export function structureKey({ graph, opsets }: Model): string {
  const numbers = new Map<Value, number>()
  const numberOf = (value: Value | undefined) => {
    if (!value) return -1
    if (!numbers.has(value)) numbers.set(value, numbers.size)
    return numbers.get(value)!
  }
  const constantOf = ({ tensor }: Value) =>
    tensor && [
      tensor.dtype,
      tensor.dims,
      /int|bool/.test(tensor.dtype) && tensor.size <= mostSettings ? [...tensor.bytes] : [],
    ]
  const nodeOf = ({ opType, domain, inputs, outputs, attributes }: Node): unknown => [
    ...[domain, opType],
    inputs.map((value) => [numberOf(value), (value && constantOf(value)) ?? []]),
    outputs.map(numberOf),
    [...attributes]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { type, value }]) => [
        name,
        type,
        value instanceof Tensor
          ? [value.dtype, value.dims]
          : value instanceof Graph
            ? value.nodes.map(nodeOf)
            : Array.isArray(value) && value[0] instanceof Graph
              ? value.map((one) => (one as Graph).nodes.map(nodeOf))
              : value,
      ]),
  ]
  return hashOf([
    [...opsets].sort(([a], [b]) => (a < b ? -1 : 1)),
    graph.feeds.map((value) => [numberOf(value), value.type?.dtype, value.type?.shape]),
    graph.nodes.map(nodeOf),
    graph.outputs.map(numberOf),
  ])
}
