// Bringing trained weights back into a model of any form.
import { cloneModel } from '../onnx/clone.ts'
import { allNodes, type Graph, type Model, type Value } from '../onnx/graph.ts'
import { liftConstants } from '../onnx/passes/constants.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../onnx/passes/dead-nodes.ts'
import { tensorOf } from '../onnx/tensor.ts'
import type { Slot } from './flat.ts'

/** A copy of a model with other weights, given as flat vectors and their layouts; the vectors are copied. */
export function withWeights(
  model: Model,
  vectors: readonly { readonly slots: readonly Slot[]; readonly content: Float32Array }[],
): Model {
  const copy = cloneModel(model)
  liftConstants(copy)
  const owners = new Map(
    graphsOf(copy.graph).flatMap((graph) =>
      valuesOf(graph).map((value) => [value.name, { value, graph }] as const),
    ),
  )
  for (const { slots, content } of vectors)
    for (const { name, dims, offset, size } of slots) {
      const owner = owners.get(name)
      if (!owner) throw new Error(`internal: no value '${name}' to bring weights back to`)
      const { value, graph } = owner
      // A constant inside the branch of an If may be made by a node.
      if (value.producer) graph.remove(value.producer)
      graph.initializers.add(value)
      value.tensor = tensorOf('float32', dims, content.slice(offset, offset + size))
    }
  removeDeadNodes(copy.graph)
  removeUnusedInitializers(copy.graph)
  return copy
}

/** A graph and all graphs inside it: weights in the branch of an If that is always taken are weights like others. */
const graphsOf = (graph: Graph): Graph[] => [
  graph,
  ...[...allNodes(graph)].flatMap((node) => node.subgraphs),
]

const valuesOf = (graph: Graph): Value[] => [
  ...graph.initializers,
  ...graph.nodes.flatMap((node) => node.outputs).filter((value) => value !== undefined),
]
