// Names that training graphs use themselves: a model's own values of such names are called otherwise while it trains.
import { cloneModel } from '../onnx/clone.ts'
import { allNodes, type Graph, type Model, type Value } from '../onnx/graph.ts'

/** What training graphs call their inputs and outputs. */
const taken =
  /^(weights|gradient|statistics|batch_statistics|accumulated|average|loss|targets|values|indices|state\d*|moment\d*|memory\d+|number\d+|drawn\d+|teacher\d+|hyper\d+)(_next|_step)*$|^auxiliary\//

/** A model whose names leave those of training graphs free, and what its values are called in either. */
export interface FreelyNamed {
  readonly model: Model
  /** The name in this model of what the given one calls so. */
  renamed(name: string): string
  /** The name in the given model of what this one calls so. */
  given(name: string): string
}

/** Gives the model itself, or a copy without such names. */
export function freelyNamed(model: Model): FreelyNamed {
  const clashing = (graph: Graph) => [...valuesOf(graph)].filter(({ name }) => taken.test(name))
  if (clashing(model.graph).length === 0)
    return { model, renamed: (name) => name, given: (name) => name }
  const copy = cloneModel(model)
  const [there, back] = [new Map<string, string>(), new Map<string, string>()]
  for (const value of clashing(copy.graph)) {
    const name = there.get(value.name) ?? copy.graph.uniqueName(`model/${value.name}`)
    there.set(value.name, name)
    back.set(name, value.name)
    value.name = name
  }
  for (const name of there.keys()) copy.graph.freeName(name)
  return {
    model: copy,
    renamed: (name) => there.get(name) ?? name,
    given: (name) => back.get(name) ?? name,
  }
}

function* valuesOf(graph: Graph): Generator<Value> {
  const graphs = [graph, ...[...allNodes(graph)].flatMap((node) => node.subgraphs)]
  const found = new Set<Value>()
  for (const each of graphs) {
    for (const value of [...each.inputs, ...each.initializers]) found.add(value)
    for (const node of each.nodes) for (const output of node.outputs) if (output) found.add(output)
  }
  yield* found
}
