// One ONNX model that is a whole training step: forward, loss, backward and the optimizer's update.
import { UserError } from '../base/errors.ts'
import { select } from '../base/selectors.ts'
import { type Builder, build } from '../onnx/build.ts'
import type { Graph, Model, Value } from '../onnx/graph.ts'
import { mergeCommonSubexpressions } from '../onnx/passes/common-subexpressions.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../onnx/passes/dead-nodes.ts'
import { tensorOf } from '../onnx/tensor.ts'
import { inferShapes } from '../runtime/shapes.ts'
import { backward } from './backward.ts'
import { flatten, layOut, pack, type Slot, unpack } from './flat.ts'
import { needsTeacher, writeLoss } from './losses.ts'
import type { Lowering } from './lowerings/lowering.ts'
import { optimizerOf } from './optimizers.ts'
import type { LossOptions, OptimizerOptions } from './options.ts'
import { type Prepared, type PrepareOptions, prepare, trainableWeights } from './prepare.ts'
import { shapeOf } from './rule.ts'
import { convolutionOf } from './rules/window.ts'
import {
  feedDropout,
  type Statistics,
  trainBatchNormalization,
  writeOutBatchNormalization,
} from './training-form.ts'

/** What a training graph is made of. */
export interface TrainingGraphOptions extends PrepareOptions {
  readonly classes: number
  readonly losses: readonly LossOptions[]
  readonly freeze: readonly string[]
  readonly lowering: Lowering
}

/** What the update needs besides. */
export interface UpdateOptions {
  readonly optimizer: OptimizerOptions
  /** Largest norm of the whole gradient. */
  readonly clip?: number | undefined
  /** By initializer: 1 where a weight learns, 0 where it stays as it is. */
  readonly masks?: ReadonlyMap<string, Float32Array> | undefined
}

/** A forward pass with a loss and the gradient of every weight, before it becomes a step. */
export interface Differentiated extends Prepared {
  readonly g: Builder
  readonly loss: Value
  readonly weights: readonly Value[]
  readonly gradients: readonly Value[]
  readonly statistics: readonly Statistics[]
  readonly dropout: readonly {
    readonly name: string
    readonly dims: readonly number[]
    readonly ratio: number
  }[]
  readonly inputDims: readonly number[]
}

/**
 * A training step as a model.
 *
 * Inputs: the model's own input, `targets` and perhaps `teacher` `[batch, classes]`, the masks of dropout, the flat
 * vectors `weights`, `state0` … and `statistics`, the scalars `hyper0` …. Outputs: `loss` and the next vectors, `weights_next` ….
 */
export interface TrainingGraph {
  readonly model: Model
  readonly inputName: string
  readonly inputDims: readonly number[]
  readonly needsTeacher: boolean
  readonly dropout: Differentiated['dropout']
  readonly weights: FlatVector
  /** Running means and variances of BatchNormalization; of length 0 where there are none. */
  readonly statistics: FlatVector
}

/** A flat vector, its layout and its first content. */
export interface FlatVector {
  readonly slots: readonly Slot[]
  readonly initial: Float32Array
}

/** Writes loss and gradients behind a copy of a model's forward pass; `training` puts it into training form. */
export async function differentiate(
  model: Model,
  options: TrainingGraphOptions,
  training: boolean,
): Promise<Differentiated> {
  const { batch, classes, losses, freeze, lowering, where = 'model' } = options
  const prepared = await prepare(model, options)
  const { graph, logits, input } = prepared
  const weights = trainableWeights(graph, freeze)
  if (weights.length === 0)
    throw new UserError(
      `${where}: has no float32 weights to train — use a float model, or freeze less`,
    )
  const statistics = training
    ? trainBatchNormalization(graph, new Set(select(graph.nodes, freeze, 'freeze')))
    : []
  checkClasses(logits, batch, classes, where)
  const g = build(graph)
  const matrix = { dtype: 'float32', shape: [batch, classes] } as const
  const targets = g.input('targets', matrix)
  const teacher = needsTeacher(losses) ? g.input('teacher', matrix) : undefined
  const flat = g.Flatten(logits, { axis: 1 })
  const loss = writeLoss(g, { logits: flat, targets, teacher, batch, classes }, losses)
  graph.outputs.push(loss)
  await inferShapes(prepared.model)
  graph.outputs.splice(0)
  const dropout = training ? feedDropout(g, graph) : []
  const found = backward(g, loss, new Set(weights), lowering, where)
  const reached = weights.filter((weight) => found.has(weight))
  return {
    ...prepared,
    g,
    loss,
    weights: reached,
    gradients: reached.map((weight) => found.get(weight)!),
    statistics: statistics.map((entry) => writeOutBatchNormalization(graph, entry)),
    dropout: dropout.map(({ input: mask, ratio }) => ({
      name: mask.name,
      dims: shapeOf(mask),
      ratio,
    })),
    inputDims: shapeOf(input),
  }
}

/** Builds the model of one training step. */
export async function trainingGraph(
  model: Model,
  options: TrainingGraphOptions,
  update: UpdateOptions,
): Promise<TrainingGraph> {
  const step = await differentiate(model, options, true)
  const { g, graph, input, loss } = step
  const weights = { slots: layOut(step.weights).slots, initial: flatten(step.weights) }
  const running = step.statistics.flatMap((entry) => [entry.runningMean, entry.runningVariance])
  const statistics = { slots: layOut(running).slots, initial: flatten(running) }

  lowerConvolutions(step, options.lowering)
  writeUpdate(step, weights, update)
  if (running.length > 0) writeStatistics(step, statistics)
  g.output('loss', loss)
  removeDeadNodes(graph)
  mergeCommonSubexpressions(graph)
  removeUnusedInitializers(graph)
  declareDomains(step.model)
  return {
    model: step.model,
    inputName: input.name,
    inputDims: step.inputDims,
    needsTeacher: needsTeacher(options.losses),
    dropout: step.dropout,
    weights,
    statistics,
  }
}

/** Operator sets of the domains that a lowering brought in. */
function declareDomains({ graph, opsets }: Model): void {
  for (const { domain } of graph.nodes) if (!opsets.has(domain)) opsets.set(domain, 1)
}

/** Rewrites the forward convolutions whose weights change from step to step, where the lowering knows better. */
function lowerConvolutions({ graph, weights }: Differentiated, lowering: Lowering): void {
  const trained = new Set<Value | undefined>(weights)
  for (const node of graph.nodes) {
    if (node.domain !== '' || node.opType !== 'Conv' || !trained.has(node.inputs[1])) continue
    const g = build(graph, node)
    const convolution = convolutionOf(node)
    const plain = lowering.convolution(g, convolution)
    if (!plain) continue
    const bias = node.inputs[2]
    const column = [convolution.yShape[1]!, ...convolution.output.map(() => 1)]
    graph.replaceUses(node.output(), bias ? g.Add(plain, g.Reshape(bias, column)) : plain)
    graph.remove(node)
  }
}

/** The optimizer: from flat weights, gradient and state to the next ones. */
function writeUpdate(step: Differentiated, weights: FlatVector, options: UpdateOptions): void {
  const { g, graph } = step
  const { optimizer: optimizerOptions, clip, masks } = options
  const optimizer = optimizerOf(optimizerOptions)
  const vector = { dtype: 'float32', shape: [weights.initial.length] } as const
  const scalar = { dtype: 'float32', shape: [] } as const
  const flat = g.input('weights', vector)
  const state = optimizer.state.map((_, index) => g.input(`state${index}`, vector))
  const hyper = optimizer
    .hyper(1, 1, optimizerOptions)
    .map((_, index) => g.input(`hyper${index}`, scalar))

  let gradient = pack(g, step.gradients)
  const flags = flatMask(weights, masks)
  const mask = flags && g.constant(flags, 'mask')
  if (mask) gradient = g.Mul(gradient, mask)
  if (clip !== undefined) gradient = clipNorm(g, gradient, clip)
  const matrices = g.constant(tensorOf('float32', vector.shape, decayed(weights.slots)), 'decays')
  // What stays as it is must not decay either.
  const decays = mask ? g.Mul(matrices, mask) : matrices
  const next = optimizer.update(
    g,
    { weights: flat, gradient, state, decays, hyper },
    optimizerOptions,
  )

  const front = build(graph, graph.nodes[0])
  for (const [index, slot] of weights.slots.entries())
    replaceInitializer(graph, step.weights[index]!, unpack(front, flat, slot))
  g.output('weights_next', next.weights)
  for (const [index, value] of next.state.entries()) g.output(`state${index}_next`, value)
}

/** Lets a value take the place of an initializer. */
function replaceInitializer(graph: Graph, initializer: Value, value: Value): void {
  value.type = initializer.type
  graph.replaceUses(initializer, value)
  graph.initializers.delete(initializer)
}

/** running ← momentum · running + (1 - momentum) · batch, for all BatchNormalization nodes at once. */
function writeStatistics({ g, statistics }: Differentiated, { slots, initial }: FlatVector): void {
  const shape = [initial.length]
  const flat = g.input('statistics', { dtype: 'float32', shape })
  const kept = new Float32Array(initial.length)
  for (const [index, { offset, size }] of slots.entries())
    kept.fill(statistics[index >> 1]!.momentum, offset, offset + size)
  const keep = g.constant(tensorOf('float32', shape, kept), 'kept')
  const batch = pack(
    g,
    statistics.flatMap((entry) => [entry.batchMean, entry.batchVariance]),
  )
  g.output('statistics_next', g.Add(g.Mul(flat, keep), g.Mul(batch, g.Sub(1, keep))))
}

/** Scales the gradient so that its norm is at most `limit` (Pascanu et al. 2013, algorithm 1). */
function clipNorm(g: Builder, gradient: Value, limit: number): Value {
  const norm = g.Sqrt(g.ReduceSum(g.Mul(gradient, gradient), [0], { keepdims: 0 }))
  return g.Mul(gradient, g.Min(g.Div(limit, g.Add(norm, 1e-6)), 1))
}

/** 1 for matrices and kernels, 0 for biases, norms and other vectors. */
function decayed(slots: readonly Slot[]): Float32Array {
  const length = slots.reduce((sum, slot) => sum + slot.size, 0)
  const flags = new Float32Array(length)
  for (const { dims, offset, size } of slots)
    if (dims.filter((dim) => dim > 1).length > 1) flags.fill(1, offset, offset + size)
  return flags
}

function flatMask(
  { slots, initial }: FlatVector,
  masks: ReadonlyMap<string, Float32Array> | undefined,
) {
  if (!masks?.size) return undefined
  const flat = new Float32Array(initial.length).fill(1)
  for (const { name, offset } of slots) flat.set(masks.get(name) ?? [], offset)
  return tensorOf('float32', [initial.length], flat)
}

function checkClasses(logits: Value, batch: number, classes: number, where: string): void {
  const shape = shapeOf(logits)
  const outputs = shape.reduce((size, dim) => size * dim, 1) / batch
  if (outputs !== classes)
    throw new UserError(
      `${where}: the outputs do not fit the labels: output '${logits.name}' [${shape.join(',')}] for ${classes} classes — use a model with ${classes} outputs, or other data`,
    )
}
