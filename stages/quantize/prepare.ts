// What every scheme does before and after: a copy to work on, without what only costs time or bytes.

import { UserError } from '../../base/errors.ts'
import { type Selectable, select } from '../../base/selectors.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, type Graph, type Model, type Node, opsetOf } from '../../onnx/graph.ts'
import { layerName } from '../../onnx/layers.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { upgradeOpset } from '../../onnx/passes/upgrade.ts'
import { inferTypes } from '../../runtime/shapes.ts'
import { strip } from '../export.ts'
import { simplify } from '../optimize.ts'
import { rewriteForQuantization } from './rewrites.ts'

/** DequantizeLinear has scales per channel since this opset. */
const leastOpset = 13

/** Operators that only quantized models have. */
const quantizedOperators: ReadonlySet<string> = new Set([
  'ConvInteger',
  'DequantizeLinear',
  'DynamicQuantizeLinear',
  'MatMulInteger',
  'QLinearConv',
  'QLinearMatMul',
  'QuantizeLinear',
])

/** Refuses a model that is quantized with a {@link UserError}; `verb` is what is to be done to the float model. */
export function refuseQuantized(graph: Graph, verb: string): void {
  const found = [...allNodes(graph)].find((node) => quantizedOperators.has(node.opType))
  if (found)
    throw new UserError(
      `model: it is quantized already: it has ${found.opType} '${layerName(found)}' — ${verb} the float model`,
    )
}

/** A copy of a model that is the stage's own. */
export interface Prepared {
  readonly model: Model
  /** Nodes that the user wants to stay float. */
  readonly excluded: ReadonlySet<Node>
}

/**
 * Copies a model and picks the excluded nodes in the copy.
 *
 * A model that is quantized already, and a selector that matches nothing, are a {@link UserError}.
 */
export function copyForQuantization(input: Model, exclude: readonly string[]): Prepared {
  const model = cloneModel(input)
  const { graph } = model
  refuseQuantized(graph, 'quantize')
  const items = [...allNodes(graph)].map((node): Selectable & { node: Node } => ({
    name: layerName(node),
    opType: node.opType,
    node,
  }))
  return { model, excluded: new Set(select(items, exclude, 'exclude').map(({ node }) => node)) }
}

/** Folds what is constant and BatchNormalization, and brings layers into the form that integer kernels have. */
export async function prepareForIntegers(
  { model, excluded }: Prepared,
  where: string,
): Promise<void> {
  const { graph } = model
  if (opsetOf(model) < leastOpset) upgradeOpset(model, leastOpset, where)
  await simplify(model, where)
  rewriteForQuantization(graph, await inferTypes(model, { where }), excluded)
  removeDeadNodes(graph)
}

/** Removes what is not needed to run: unused constants, texts, what was known of values before, long names. */
export function compact(model: Model): void {
  const { graph } = model
  removeDeadNodes(graph)
  strip(model)
  const outputs = new Set(graph.outputs)
  for (const node of graph.nodes)
    for (const output of node.outputs)
      if (output && !outputs.has(output)) output.name = graph.uniqueName('v')
}
