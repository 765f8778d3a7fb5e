// Constant nodes become initializers, which is the one form of a constant that the stages look for.
import type { Attribute, Graph, Model, Node } from '../graph.ts'
import { Tensor, tensorOf } from '../tensor.ts'
import { becomeConstants } from './become-constants.ts'

/**
 * Turns Constant nodes into initializers of the same name, in subgraphs too, and takes initializers out of the list
 * of inputs, where old files have them as well.
 *
 * A constant that is itself an output stays a node, and so do sparse ones.
 */
export function liftConstants(model: Model): boolean {
  const changed = liftIn(model.graph)
  const { graph } = model
  const feeds = graph.feeds
  if (feeds.length === graph.inputs.length) return changed
  graph.inputs.splice(0, graph.inputs.length, ...feeds)
  // Before IR version 4 every initializer had to be an input.
  model.irVersion = Math.max(model.irVersion, 4)
  return true
}

function liftIn(graph: Graph): boolean {
  let changed = false
  const lifted = new Map<Node, Tensor>()
  for (const node of graph.nodes) {
    for (const subgraph of node.subgraphs) changed = liftIn(subgraph) || changed
    if (node.opType !== 'Constant' || node.domain !== '' || graph.outputs.includes(node.output()))
      continue
    const tensor = contentOf(node)
    if (tensor) lifted.set(node, tensor)
  }
  return becomeConstants(graph, lifted) || changed
}

function contentOf(node: Node): Tensor | undefined {
  for (const [name, attribute] of node.attributes) {
    const tensor = forms[name]?.(attribute)
    if (tensor) return tensor
  }
  return undefined
}

/** The ways in which a Constant node may give its content. */
const forms: Readonly<Record<string, (attribute: Attribute) => Tensor | undefined>> = {
  value: (attribute) => (attribute.type === 'tensor' ? attribute.value : undefined),
  value_float: (attribute) =>
    attribute.type === 'float' ? tensorOf('float32', [], [attribute.value]) : undefined,
  value_int: (attribute) =>
    attribute.type === 'int' ? tensorOf('int64', [], [attribute.value]) : undefined,
  value_floats: (attribute) =>
    attribute.type === 'floats'
      ? tensorOf('float32', [attribute.value.length], attribute.value)
      : undefined,
  value_ints: (attribute) =>
    attribute.type === 'ints'
      ? tensorOf('int64', [attribute.value.length], attribute.value)
      : undefined,
  value_string: (attribute) =>
    attribute.type === 'string' ? textTensor([], [attribute.value]) : undefined,
  value_strings: (attribute) =>
    attribute.type === 'strings'
      ? textTensor([attribute.value.length], attribute.value)
      : undefined,
}

function textTensor(dims: readonly number[], texts: readonly string[]): Tensor {
  const encoder = new TextEncoder()
  return new Tensor('string', dims, new Uint8Array(0), {
    strings: texts.map((text) => encoder.encode(text)),
  })
}
