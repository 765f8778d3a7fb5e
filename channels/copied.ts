// The groups of a model as those of a copy of it, which saves finding them again.
import { allNodes, type Graph, type Model, type Node, type Value } from '../onnx/graph.ts'
import type { Group } from './groups.ts'
import type { Place } from './web.ts'

/**
 * Gives groups of a model as groups of its copy (`cloneModel`), which nobody has changed since.
 *
 * The result is by the groups that were given.
 */
export function copiedGroups(
  { graph }: Model,
  copy: Model,
  groups: readonly Group[],
): Map<Group, Group> {
  const own = new Map(valuesOf(copy.graph).map((value) => [value.name, value]))
  const nodes = new Map<Node, Node>()
  const copies = [...allNodes(copy.graph)]
  for (const [at, node] of [...allNodes(graph)].entries()) nodes.set(node, copies[at]!)
  const copyOfValue = (value: Value): Value => {
    const found = own.get(value.name)
    if (!found) throw new Error(`internal: the copy has no value '${value.name}'`)
    return found
  }
  const places = new Map<Place, Place>()
  const placeOf = (place: Place): Place => {
    const known = places.get(place)
    if (known) return known
    const { value, owner, node } = place
    const made: Place = {
      ...place,
      value: copyOfValue(value),
      owner: owner && nodes.get(owner),
      node: node && nodes.get(node),
    }
    places.set(place, made)
    return made
  }
  return new Map(
    groups.map((group) => [
      group,
      {
        ...group,
        producers: group.producers.map((node) => nodes.get(node)!),
        parts: group.parts.map(({ place, indices }) => ({ place: placeOf(place), indices })),
      },
    ]),
  )
}

function valuesOf(graph: Graph): Value[] {
  const own = [...graph.inputs, ...graph.initializers]
  for (const { outputs, subgraphs } of graph.nodes) {
    for (const output of outputs) if (output) own.push(output)
    for (const subgraph of subgraphs) own.push(...valuesOf(subgraph))
  }
  return own
}
