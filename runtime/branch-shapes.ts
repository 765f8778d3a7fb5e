// Shapes of the values in the branches of If: each branch is a model of its own whose inputs are what it takes from
// around it.
import { UserError } from '../base/errors.ts'
import { cloneModel } from '../onnx/clone.ts'
import { allNodes, type Graph, type Model, type Value } from '../onnx/graph.ts'
import { inferTypes } from './shapes.ts'

/**
 * Writes the inferred types into the values of all branches of If, inner ones too.
 *
 * The graphs around them must state their shapes (`inferShapes`). The shapes of a branch that ONNX Runtime refuses for
 * these sizes stay unknown.
 */
export async function inferBranchShapes(model: Model, where = 'model'): Promise<void> {
  await inferIn(model, model.graph, where)
}

async function inferIn(model: Model, graph: Graph, where: string): Promise<void> {
  for (const node of graph.nodes)
    for (const branch of node.opType === 'If' && node.domain === '' ? node.subgraphs : []) {
      await inferBranch(model, branch, where)
      await inferIn(model, branch, where)
    }
}

async function inferBranch(model: Model, branch: Graph, where: string): Promise<void> {
  const copy = cloneModel({ ...model, graph: branch, extra: undefined })
  const { graph } = copy
  const own = new Set<Value>(graph.initializers)
  for (const node of allNodes(graph)) for (const output of node.outputs) if (output) own.add(output)
  for (const node of allNodes(graph))
    for (const subgraph of node.subgraphs)
      for (const value of [...subgraph.inputs, ...subgraph.initializers]) own.add(value)
  const taken = new Set<Value>(graph.outputs)
  for (const node of allNodes(graph)) for (const input of node.inputs) if (input) taken.add(input)
  for (const value of taken) {
    if (own.has(value)) continue
    if (value.tensor) graph.initializers.add(value)
    else if (value.type?.shape) graph.inputs.push(value)
    else return
  }
  try {
    // What the file says of the branch holds for the sizes that it was written with.
    for (const output of graph.outputs)
      if (output.type && own.has(output)) output.type = { dtype: output.type.dtype }
    const types = await inferTypes(copy, { dims: {}, where })
    const named = new Map([...types].map(([value, type]) => [value.name, type]))
    for (const node of branch.nodes)
      for (const output of node.outputs) {
        const type = output && named.get(output.name)
        if (type) output.type = type
      }
  } catch (thrown) {
    // Of two branches, often one alone fits the sizes that are stated.
    if (!(thrown instanceof UserError)) throw thrown
  }
}
