// Element types of the values in the bodies of If, Loop and Scan: each body is opened as a model of its own, whose inputs
// are what it takes from around it.
import { UserError } from '../../base/errors.ts'
import { cloneModel } from '../../onnx/clone.ts'
import {
  allNodes,
  type Graph,
  type Model,
  type Node,
  type Value,
  type ValueType,
} from '../../onnx/graph.ts'
import { withSession } from '../../runtime/session.ts'
import { inferTypes } from '../../runtime/shapes.ts'

/**
 * Infers the types of all values of a model, those of its subgraphs too (without their shapes).
 *
 * Values of a body that ONNX Runtime cannot open by itself, or that takes what is no tensor, are left out.
 */
export async function inferAllTypes(
  model: Model,
  where: string,
): Promise<ReadonlyMap<Value, ValueType>> {
  const types = new Map(await inferTypes(model, { where }))
  await inferBodies(model, model.graph, types)
  return types
}

async function inferBodies(model: Model, graph: Graph, types: Map<Value, ValueType>) {
  for (const node of graph.nodes)
    for (const body of node.subgraphs)
      if (await inferBody(model, node, body, types)) await inferBodies(model, body, types)
}

/** What the inputs of a body are, where it does not say so itself, from the inputs of its node. */
const inputsOf: Readonly<Record<string, (node: Node) => readonly (Value | undefined)[]>> = {
  // The number of the round and the condition come first, both in the body and at the node.
  Loop: ({ inputs }) => inputs,
  Scan: ({ inputs }) => inputs,
}

async function inferBody(
  model: Model,
  node: Node,
  body: Graph,
  types: Map<Value, ValueType>,
): Promise<boolean> {
  const fed = inputsOf[node.opType]?.(node) ?? []
  for (const [index, input] of body.inputs.entries()) {
    const around = fed[index]
    const type = input.type ?? (around && types.get(around))
    if (type) types.set(input, { dtype: type.dtype })
  }
  for (const { value, tensor } of constants(body))
    types.set(value, { dtype: tensor.dtype, shape: tensor.dims })

  const { graph, ...rest } = cloneModel({ ...model, graph: body, extra: undefined })
  const byName = new Map([...types].map(([value, type]) => [value.name, type]))
  const taken = takenFromAround(graph)
  for (const value of [...graph.inputs, ...taken]) {
    const type = byName.get(value.name)
    if (!type) return false
    value.type = { dtype: type.dtype }
    value.tensor = undefined
  }
  graph.inputs.push(...taken)
  const made = graph.nodes.flatMap(({ outputs }) =>
    outputs.filter((output) => output !== undefined),
  )
  for (const value of made) value.type = undefined
  graph.outputs.splice(0, graph.outputs.length, ...made)
  if (made.length === 0) return true
  try {
    await withSession({ graph, ...rest }, { optimization: 'disabled' }, async ({ outputs }) => {
      const found = new Map(outputs.map(({ name, dtype }) => [name, dtype]))
      for (const output of body.nodes.flatMap(({ outputs }) => outputs)) {
        const dtype = output && found.get(output.name)
        if (dtype) types.set(output, { dtype })
      }
    })
    return true
  } catch (thrown) {
    if (thrown instanceof UserError) return false
    throw thrown
  }
}

const constants = (graph: Graph) =>
  [...graph.initializers].flatMap((value) =>
    value.tensor ? [{ value, tensor: value.tensor }] : [],
  )

/** The values that a graph and the graphs in it use and do not make. */
function takenFromAround(graph: Graph): ReadonlySet<Value> {
  const own = new Set<Value>()
  const taken = new Set<Value>()
  const look = (each: Graph) => {
    for (const value of [...each.inputs, ...each.initializers]) own.add(value)
  }
  look(graph)
  for (const node of allNodes(graph)) {
    for (const subgraph of node.subgraphs) look(subgraph)
    for (const output of node.outputs) if (output) own.add(output)
  }
  for (const node of allNodes(graph))
    for (const input of node.inputs) if (input && !own.has(input)) taken.add(input)
  return taken
}
