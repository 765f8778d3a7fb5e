// From any ONNX model to a graph that the gradient rules understand: one opset, no constant subgraphs, every shape known.
import { UserError } from '../base/errors.ts'
import { select } from '../base/selectors.ts'
import { suggest } from '../base/suggest.ts'
import { cloneModel } from '../onnx/clone.ts'
import { withoutClosing } from '../onnx/closing.ts'
import { type Graph, type Model, type Node, opsetOf, type Value } from '../onnx/graph.ts'
import { liftConstants } from '../onnx/passes/constants.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { inlineConditionals } from '../onnx/passes/inline-if.ts'
import { newestOpset, upgradeOpset } from '../onnx/passes/upgrade.ts'
import type { Tensor } from '../onnx/tensor.ts'
import { foldConstants } from '../runtime/fold.ts'
import { fixDims, inferShapes } from '../runtime/shapes.ts'
import { decompose } from './decompose.ts'
import type { Quantizers } from './fake-quantize.ts'

/** A copy of a model in which rules may be applied, with its inputs and outputs. */
export interface Prepared {
  readonly model: Model
  readonly graph: Graph
  /** What is fed, in order, of any type. */
  readonly inputs: readonly Value[]
  /** The outputs in order, each before a closing Softmax. */
  readonly outputs: readonly Value[]
  /** The tapped values by the names that were asked for. */
  readonly taps: ReadonlyMap<string, Value>
  /** The nodes as selectors see them, before composite operators were written out. */
  readonly layers: readonly Layer[]
  /** The constants of the model itself, without those that writing out composite operators brought in. */
  readonly constants: readonly Value[]
}

/** A node as it was with the inputs that it had. */
export interface Layer {
  readonly name: string
  readonly opType: string
  readonly node: Node
  readonly inputs: readonly (Value | undefined)[]
}

/** What a training fixes. */
export interface PrepareOptions {
  readonly batch: number
  /** Shape of one sample, for models that leave more than the batch free. */
  readonly sample?: readonly number[] | undefined
  /** Numbers for free dimensions by name, for models with several inputs (see `fixDims`). */
  readonly dims?: Readonly<Record<string, number>> | undefined
  /** Inputs that always have the same content, by name: they are no inputs any more. */
  readonly constants?: Readonly<Record<string, Tensor>> | undefined
  /** Names of values inside the model that are to be looked at. */
  readonly taps?: readonly string[] | undefined
  /** What the fake quantizations of the model ask for. */
  readonly quantizers?: Quantizers | undefined
  readonly where?: string | undefined
}

/**
 * Copies a model into the form that training works on: newest opset, constants as initializers, a fixed batch.
 *
 * Names of initializers stay, so that trained weights find their way back.
 */
export async function prepare(
  model: Model,
  {
    batch,
    sample = [],
    dims = {},
    constants = {},
    taps = [],
    quantizers,
    where = 'model',
  }: PrepareOptions,
): Promise<Prepared> {
  const copy = cloneModel(model)
  // What is tapped stays what it is, as outputs do.
  const places = new Map(taps.map((name) => [name, tapOutput(copy.graph, name, where)]))
  // An input that is left out by an empty name at the end means nothing, but some of ONNX Runtime's fusions crash on it.
  for (const node of copy.graph.nodes)
    node.truncateInputs(node.inputs.findLastIndex((input) => input !== undefined) + 1)
  if (opsetOf(copy) < newestOpset) upgradeOpset(copy, newestOpset, where)
  fixInputs(copy.graph, constants, where)
  fixDims(copy, { batch, dims: { ...freeDims(copy.graph, sample), ...dims } }, where)
  liftConstants(copy)
  const { graph } = copy
  const folded = new Set<Value>()
  const fold = async () => {
    const before = new Set(graph.initializers)
    const changed = await foldConstants(copy, where, foldable(graph, folded, quantizers))
    for (const value of graph.initializers) if (!before.has(value)) folded.add(value)
    return changed
  }
  do {
    // Known conditions go before ONNX Runtime sees them: its own inlining crashes on some models.
    do {
      await fold()
    } while (inlineConditionals(copy))
    liftConstants(copy)
    // Shapes that are known turn Shape nodes, and what is computed from them, into constants; a condition among
    // those brings in a branch whose shapes are to be found.
    await inferShapes(copy, { where })
  } while ((await fold()) && inlineConditionals(copy))
  removeDeadNodes(graph)
  const layers = graph.nodes.map((node) => {
    const { name, opType, inputs } = node
    return { name, opType, node, inputs: [...inputs] }
  })
  const own = [...graph.initializers].filter((value) => !folded.has(value))
  await decompose(copy, where)
  const shown = graph.outputs.splice(0)
  const outputs = shown.slice(0, model.graph.outputs.length)
  if (outputs.length === 0) throw new UserError(`${where}: has no outputs — export it again`)
  return {
    model: copy,
    graph,
    inputs: graph.feeds,
    // A closing LogSoftmax needs no cutting: log-probabilities are logits.
    outputs: outputs.map((output) => withoutClosing(graph, output, 'Softmax')),
    taps: new Map([...places].map(([name, place]) => [name, shown[place]!])),
    layers,
    constants: own,
  }
}

/**
 * What may be folded: everything that is not computed from a weight, and what becomes a setting of an operator.
 *
 * A weight stays the initializer that it is, however the model transposes, repeats or scales it, and gets the gradient
 * of all its uses; what is made from shapes for this batch must not be taken for one.
 */
function foldable(
  graph: Graph,
  folded: ReadonlySet<Value>,
  quantizers: Quantizers | undefined,
): (node: Node) => boolean {
  const isWeight = (value: Value | undefined) =>
    value?.tensor?.dtype === 'float32' &&
    (value.tensor.size > 1 || quantizers?.parameters.has(value.name)) &&
    !folded.has(value)
  const makers = graph.nodes.flatMap(({ opType, inputs }) =>
    (settings[opType] ?? []).flatMap((index) => inputs[index]?.producer ?? []),
  )
  // The list grows while it is walked.
  for (const { inputs } of makers)
    for (const input of inputs)
      if (input?.producer && !makers.includes(input.producer)) makers.push(input.producer)
  const forSettings = new Set(makers)
  return (node) => forSettings.has(node) || !node.inputs.some(isWeight)
}

/** The place of a value among the outputs, which it joins unless it is one. */
function tapOutput(graph: Graph, name: string, where: string): number {
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
  const value = [...graph.inputs, ...made].find((each) => each.name === name)
  if (!value)
    throw new UserError(
      `${where}: has no value of that name: '${name}' — ${suggest(
        name,
        made.map((each) => each.name),
      )}`,
    )
  const place = graph.outputs.indexOf(value)
  return place < 0 ? graph.outputs.push(value) - 1 : place
}

/** Makes inputs constant. */
function fixInputs(graph: Graph, constants: Readonly<Record<string, Tensor>>, where: string): void {
  for (const [name, tensor] of Object.entries(constants)) {
    const index = graph.inputs.findIndex((input) => input.name === name)
    const input = graph.inputs[index]
    if (!input)
      throw new UserError(
        `${where}: has no input of that name: '${name}' — ${suggest(
          name,
          graph.feeds.map((feed) => feed.name),
        )}`,
      )
    graph.inputs.splice(index, 1)
    input.tensor = tensor
    input.type = { dtype: tensor.dtype, shape: tensor.dims }
    graph.initializers.add(input)
  }
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

/**
 * The initializers to be trained: float32 ones with more than one element that reach the output, but for running
 * statistics, for settings of an operator, and for the weights of frozen layers.
 */
export function trainableWeights(
  { graph, constants, layers }: Pick<Prepared, 'graph' | 'constants' | 'layers'>,
  freeze: readonly string[],
  quantizers?: Quantizers,
): Value[] {
  const stays = new Set([
    ...(quantizers?.fixed ?? []),
    ...(quantizers?.observers.map(({ range }) => range) ?? []),
  ])
  const frozen = new Set(select(layers, freeze, 'freeze'))
  const fixed = new Set<Value | undefined>()
  for (const layer of layers) {
    if (frozen.has(layer)) for (const input of layer.inputs) fixed.add(input)
    for (const index of settings[layer.opType] ?? []) fixed.add(layer.inputs[index])
  }
  const trainable = constants.filter(
    (value) =>
      value.tensor?.dtype === 'float32' &&
      value.users.size > 0 &&
      !fixed.has(value) &&
      !stays.has(value.name) &&
      (value.tensor.size > 1 ||
        quantizers?.parameters.has(value.name) ||
        layers.some((layer) => weightInput(layer, value))),
  )
  return lastFirst(graph, trainable)
}

/**
 * Values in the order in which a backward pass comes by their gradients: those that are used last come first.
 *
 * ONNX Runtime computes what an output needs input by input: in this order each gradient is computed as soon as it can
 * be, and the activations that it needs are let go of.
 */
function lastFirst(graph: Graph, values: readonly Value[]): Value[] {
  const position = new Map(graph.nodes.map((node, index) => [node, index]))
  const lastUse = ({ users }: Value) =>
    Math.max(...[...users].map((node) => position.get(node) ?? -1))
  return values
    .map((value) => ({ value, last: lastUse(value) }))
    .sort((a, b) => b.last - a.last)
    .map(({ value }) => value)
}

/** Inputs that are no weights though they may be float constants: running statistics, sizes, limits, step sizes. */
const settings: Readonly<Record<string, readonly number[]>> = {
  BatchNormalization: [3, 4],
  Clip: [1, 2],
  DequantizeLinear: [1, 2],
  OneHot: [2],
  Pad: [2],
  QuantizeLinear: [1, 2],
  Resize: [1, 2, 3],
  Upsample: [1],
}

/** Operators whose constants are weights however small they are; elsewhere a lone number is a setting. */
const weighted: ReadonlySet<string> = new Set([
  'Conv',
  'ConvTranspose',
  'Gemm',
  'MatMul',
  'BatchNormalization',
  'GroupNormalization',
  'InstanceNormalization',
  'LayerNormalization',
  'PRelu',
  'RMSNormalization',
  'SimplifiedLayerNormalization',
  'SkipLayerNormalization',
  'SkipSimplifiedLayerNormalization',
])

const weightInput = ({ opType, inputs }: Layer, value: Value): boolean =>
  weighted.has(opType) && inputs.indexOf(value) > 0
