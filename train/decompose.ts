// Composite operators written out in simpler ones, so that they need no gradient rule of their own.
import { type Builder, build } from '../onnx/build.ts'
import { declareDomains, type Model, type Node, operatorOf, type Value } from '../onnx/graph.ts'
import { inferShapes } from '../runtime/shapes.ts'
import { decompositions } from './decompositions.ts'

/** What a decomposition sees: one node, all of whose values have settled shapes. */
export interface DecompositionContext {
  /** Writes nodes before the one that goes. */
  readonly g: Builder
  readonly node: Node
  /** Inputs in order; only required ones may be read without a check. */
  readonly inputs: readonly (Value | undefined)[]
  readonly x: Value
  /** What error messages call the model. */
  readonly where: string
}

/**
 * Writes the definition of an operator; gives what takes the place of each output, undefined for unused ones.
 *
 * It gives undefined itself, and writes nothing, for a node of a form that has a gradient rule: that node stays.
 */
export type Decomposition = (
  context: DecompositionContext,
) => readonly (Value | undefined)[] | undefined

/**
 * Writes out, in place, every node whose operator has a row in the table, until none is left.
 *
 * The shapes of all values must be settled, and are afterwards.
 */
export async function decompose(model: Model, where = 'model'): Promise<void> {
  while (decomposeOnce(model, where)) await inferShapes(model, { where })
}

function decomposeOnce(model: Model, where: string): boolean {
  const { graph } = model
  let changed = false
  for (const node of [...graph.nodes]) {
    const decomposition = decompositions[operatorOf(node)]
    if (!decomposition) continue
    const g = build(graph, node)
    const written = decomposition({ g, node, inputs: node.inputs, x: node.input(0), where })
    if (!written) continue
    for (const [index, output] of node.outputs.entries()) {
      const value = written[index]
      if (!output || !value) continue
      // A value that others know already keeps what is known of it.
      value.type ??= output.type
      graph.replaceUses(output, value)
    }
    graph.remove(node)
    changed = true
  }
  declareDomains(model)
  return changed
}
