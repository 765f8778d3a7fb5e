// Nodes that only pass their input on: Identity, Dropout after training, a Cast to the type it has already.
import { allNodes, constantOf, type Graph, type Model, type Node, opsetOf } from '../graph.ts'
import { dataTypes, numbers } from '../tensor.ts'

/** Says of a node of one operator whether its first output is its first input, whatever is fed. */
type Test = (node: Node, opset: number) => boolean

const onlyOne: Test = (node) => node.inputs.length === 1

const tests: Readonly<Record<string, Test>> = {
  Identity: () => true,
  Cast: (node) => {
    const dtype = node.input(0).type?.dtype
    return dtype !== undefined && dataTypes[dtype].code === node.number('to')
  },
  Concat: onlyOne,
  Dropout: (node, opset) => {
    if (node.outputs.slice(1).some((mask) => mask !== undefined && mask.users.size > 0))
      return false
    if (opset < 12 || node.inputs[2] === undefined) return true
    const training = constantOf(node.inputs[2])
    return training?.bytes.every((byte) => byte === 0) ?? false
  },
  Max: onlyOne,
  Mean: onlyOne,
  Min: onlyOne,
  Pad: (node, opset) => {
    const constant = constantOf(node.inputs[1])
    const pads = opset < 11 ? node.numbers('pads') : constant && numbers(constant)
    return pads?.every((pad) => pad === 0) ?? false
  },
  Sum: onlyOne,
  Transpose: (node) => node.numbers('perm')?.every((axis, index) => axis === index) ?? false,
}

/**
 * Removes the nodes that only pass a value on, in subgraphs too.
 *
 * Only what holds for every input is removed: a Reshape to the shape of one batch is not. Names of inputs and outputs
 * stay.
 */
export function removeIdentities(model: Model): boolean {
  // An output of a subgraph has to be made in it, so a value that is one cannot be exchanged from outside.
  const inner = [...allNodes(model.graph)].flatMap((node) => node.subgraphs)
  const kept = new Set(inner.flatMap((graph) => graph.outputs))
  return [model.graph, ...inner].reduce(
    (changed, graph) => removeIn(graph, opsetOf(model), kept) || changed,
    false,
  )
}

function removeIn(graph: Graph, opset: number, keptOutputs: ReadonlySet<unknown>): boolean {
  const own = new Set(graph.nodes)
  const removed = new Set<Node>()
  for (const node of own) {
    if (node.domain !== '' || !tests[node.opType]?.(node, opset)) continue
    const input = node.input(0)
    const output = node.output()
    if (!graph.outputs.includes(output)) {
      if (keptOutputs.has(output)) continue
      graph.replaceUses(output, input)
    } else {
      // The output keeps its name, so the node before has to make it directly.
      const { producer } = input
      if (!producer || !own.has(producer) || removed.has(producer)) continue
      if (graph.outputs.includes(input) || keptOutputs.has(input)) continue
      const index = producer.outputs.indexOf(input)
      graph.replaceUses(input, output)
      node.truncateInputs(0)
      node.setOutput(0, undefined)
      producer.setOutput(index, output)
    }
    removed.add(node)
  }
  if (removed.size > 0) graph.retain((node) => !removed.has(node))
  return removed.size > 0
}
