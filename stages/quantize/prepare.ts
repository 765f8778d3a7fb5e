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
import { foldBranches, withBranches } from './branches.ts'
import { type LayerStatistics, normalizedValues, statisticsOfLayers } from './data-free.ts'
import { quantizationRuleOf } from './operators.ts'
import { rewriteForQuantization } from './rewrites.ts'
import { smallFloatOf } from './small-floats.ts'

/** DequantizeLinear has scales per channel since this opset. */
const leastOpset = 13

/** Operators that only quantized models have, besides those whose name begins with QLinear. */
const quantizedOperators: ReadonlySet<string> = new Set([
  'ConvInteger',
  'DequantizeLinear',
  'DynamicQuantizeLinear',
  'DynamicQuantizeLSTM',
  'DynamicQuantizeMatMul',
  'GatherBlockQuantized',
  'MatMulInteger',
  'MatMulIntegerToFloat',
  'MatMulNBits',
  'QGemm',
  'QuantizeLinear',
])

/** Fewer integers than these need not be weights. */
const fewest = 64

/** Whether a node brings integers that are stored back to float, as the first of the operators that do. */
const unpacks = ({ opType, inputs, outputs }: Node): boolean =>
  opType === 'Cast' &&
  /^uint[248]$/.test(inputs[0]?.tensor?.dtype ?? '') &&
  inputs[0]!.tensor!.size >= fewest &&
  [...(outputs[0]?.users ?? [])].some((user) => user.opType === 'Sub')

const isQuantized = (node: Node): boolean =>
  node.opType.startsWith('QLinear') || quantizedOperators.has(node.opType) || unpacks(node)

/** Refuses a model that is quantized with a {@link UserError}; `verb` is what is to be done to the float model. */
export function refuseQuantized(graph: Graph, verb: string): void {
  const found = [...allNodes(graph)].find(isQuantized)
  if (found) throw quantizedAlready(found, `${verb} the float model`)
}

const quantizedAlready = (node: Node, advice: string): UserError =>
  new UserError(
    `model: it is quantized already: it has ${node.opType} '${layerName(node)}' — ${advice}`,
  )

/** A copy of a model that is the stage's own. */
export interface Prepared {
  readonly model: Model
  /** Nodes that stay as they are: those that the user excludes, and those that are in integers already. */
  readonly excluded: ReadonlySet<Node>
  /** Whether some of it was quantized before. */
  readonly quantized: boolean
}

/**
 * Copies a model and picks the excluded nodes in the copy.
 *
 * A model that is quantized already is a {@link UserError} where it is to be refused, as is a selector that matches
 * nothing.
 */
export function copyForQuantization(
  input: Model,
  exclude: readonly string[],
  already: 'refuse' | 'keep' | 'extend' = 'refuse',
): Prepared {
  const model = cloneModel(input)
  const { graph } = model
  const nodes = [...allNodes(graph)]
  const found = nodes.find(isQuantized)
  if (found && already === 'refuse')
    throw quantizedAlready(
      found,
      "quantize the float model, or set 'quantized' to keep this one or extend it",
    )
  const small = smallFloatOf(graph)
  if (small && already === 'refuse')
    throw new UserError(
      `model: it is ${small.dtype} already: '${small.name}' — quantize the float32 model, or set 'quantized' to keep this one or extend it`,
    )
  const items = nodes.map((node): Selectable & { node: Node } => ({
    name: layerName(node),
    opType: node.opType,
    node,
  }))
  const chosen = select(items, exclude, 'exclude').map(({ node }) => node)
  // Values lose their names in the end, and with them layers that have no name of their own.
  for (const node of nodes)
    if (quantizationRuleOf(node)?.kind === 'layer') node.name = layerName(node)
  const placed = found ? [...nodes.filter(hasItsPlace), ...behindUnpacking(nodes)] : []
  const excluded = new Set([...chosen, ...placed])
  return { model, excluded, quantized: (found ?? small) !== undefined }
}

/** Whether a node is quantized, or between integers already; layers with float weights are not. */
function hasItsPlace(node: Node): boolean {
  if (isQuantized(node)) return true
  if (quantizationRuleOf(node)?.kind === 'layer') return false
  const makers = node.inputs.map((input) => input?.producer)
  const users = node.outputs.flatMap((output) => [...(output?.users ?? [])])
  return [...makers, ...users].some((other) => other && isQuantized(other))
}

/** The nodes that make weights of stored integers, and of nothing that flows. */
function behindUnpacking(nodes: readonly Node[]): ReadonlySet<Node> {
  const found = new Set<Node>()
  for (const node of nodes) {
    const makers = node.inputs.flatMap((input) => (input && !input.tensor ? [input.producer] : []))
    const all = makers.length > 0 && makers.every((maker) => maker && found.has(maker))
    if (unpacks(node) || all) found.add(node)
  }
  return found
}

/**
 * Folds what is constant and BatchNormalization, and brings layers into the form that integer kernels have; gives what
 * the BatchNormalizations said of the values that are still there.
 */
export async function prepareForIntegers(
  { model, excluded }: Prepared,
  where: string,
): Promise<Map<string, LayerStatistics>> {
  const { graph } = model
  const normalized = normalizedValues(graph)
  if (opsetOf(model) < leastOpset) upgradeOpset(model, leastOpset, where)
  await simplify(model, where)
  await foldBranches(model, where)
  const types = await inferTypes(model, { where })
  for (const each of withBranches(graph)) rewriteForQuantization(each, types, excluded)
  removeDeadNodes(graph)
  return statisticsOfLayers(graph, normalized)
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
