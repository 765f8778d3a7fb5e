// From any ONNX model to a graph that the gradient rules understand: one opset, no constant subgraphs, every shape known.
import { UserError } from '../base/errors.ts'
import { select } from '../base/selectors.ts'
import { cloneModel } from '../onnx/clone.ts'
import type { Graph, Model, Node, Value } from '../onnx/graph.ts'
import { liftConstants } from '../onnx/passes/constants.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { newestOpset, upgradeOpset } from '../onnx/passes/upgrade.ts'
import { foldConstants } from '../runtime/fold.ts'
import { fixDims, inferShapes } from '../runtime/shapes.ts'
import { decompose } from './decompose.ts'

/** A copy of a model in which rules may be applied, with its input and its logits. */
export interface Prepared {
  readonly model: Model
  readonly graph: Graph
  readonly input: Value
  /** The first output, before a closing Softmax. */
  readonly logits: Value
}

/** What a training fixes. */
export interface PrepareOptions {
  readonly batch: number
  /** Shape of one sample, for models that leave more than the batch free. */
  readonly sample?: readonly number[] | undefined
  readonly where?: string | undefined
}

/**
 * Copies a model into the form that training works on: newest opset, constants as initializers, a fixed batch.
 *
 * Names of initializers stay, so that trained weights find their way back.
 */
export async function prepare(
  model: Model,
  { batch, sample = [], where = 'model' }: PrepareOptions,
): Promise<Prepared> {
  const copy = cloneModel(model)
  upgradeOpset(copy, newestOpset, where)
  liftConstants(copy)
  fixDims(copy, { batch, dims: freeDims(copy.graph, sample) }, where)
  // Shapes that are known turn Shape nodes, and what is computed from them, into constants.
  await inferShapes(copy, { where })
  await foldConstants(copy, where)
  removeDeadNodes(copy.graph)
  await decompose(copy, where)
  const feeds = copy.graph.feeds
  const [input] = feeds
  const [output] = copy.graph.outputs
  if (!input || !output || feeds.length !== 1)
    throw new UserError(
      `${where}: training needs a model with one input: it has ${feeds.length} — make the others constant`,
    )
  copy.graph.outputs.splice(0)
  const logits = logitsOf(output)
  return { model: copy, graph: copy.graph, input, logits }
}

/** Numbers for the free dimensions behind the batch: those of a sample. */
function freeDims(graph: Graph, sample: readonly number[]): Record<string, number> {
  const dims: Record<string, number> = {}
  for (const { name, type } of graph.feeds)
    for (const [axis, dim] of type?.shape?.slice(1).entries() ?? []) {
      const size = sample[axis]
      if (typeof dim === 'number' || size === undefined) continue
      dims[typeof dim === 'string' ? dim : `${name}:${axis + 1}`] = size
    }
  return dims
}

/** The value whose softmax is the model's answer: what enters a closing Softmax, else the output itself. */
export function logitsOf(output: Value): Value {
  const maker = output.producer
  // A closing LogSoftmax needs no cutting: log-probabilities are logits.
  return maker?.opType === 'Softmax' ? maker.input(0) : output
}

/**
 * The initializers to be trained: float32 ones with more than one element that reach the output, but for running
 * statistics and for the weights of frozen layers.
 */
export function trainableWeights(graph: Graph, freeze: readonly string[]): Value[] {
  const frozen = new Set<Node>(select(graph.nodes, freeze, 'freeze'))
  const fixed = new Set<Value | undefined>()
  for (const node of graph.nodes) {
    if (frozen.has(node)) for (const input of node.inputs) fixed.add(input)
    for (const value of statisticsOf(node)) fixed.add(value)
  }
  return [...graph.initializers].filter(
    (value) =>
      value.tensor?.dtype === 'float32' &&
      value.users.size > 0 &&
      !fixed.has(value) &&
      (value.tensor.size > 1 || [...value.users].some((node) => weightInput(node, value))),
  )
}

/** Inputs that hold running statistics, by operator. */
const statistics: Readonly<Record<string, readonly number[]>> = { BatchNormalization: [3, 4] }

const statisticsOf = (node: Node): (Value | undefined)[] =>
  (statistics[node.opType] ?? []).map((index) => node.inputs[index])

/** Operators whose constants are weights however small they are; elsewhere a lone number is a setting. */
const weighted: ReadonlySet<string> = new Set([
  'Conv',
  'Gemm',
  'MatMul',
  'BatchNormalization',
  'PRelu',
])

const weightInput = (node: Node, value: Value): boolean =>
  weighted.has(node.opType) && node.inputs.indexOf(value) > 0
