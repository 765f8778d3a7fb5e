// The graphs of a training: forward pass, loss, backward pass, and a tail that updates the weights or adds gradients up.
// Our own engine runs them as one ONNX model; an engine that differentiates by itself gets two.
import { type Builder, build, newModel } from '../onnx/build.ts'
import { declareDomains, type Graph, type Model, type Value } from '../onnx/graph.ts'
import { mergeCommonSubexpressions } from '../onnx/passes/common-subexpressions.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../onnx/passes/dead-nodes.ts'
import { tensorOf } from '../onnx/tensor.ts'
import { backward } from './backward.ts'
import { flatten, layOut, pack, type Slot, unpack } from './flat.ts'
import { type Feeds, type Forward, type ForwardOptions, forwardPass } from './forward.ts'
import { safeInPlace } from './in-place.ts'
import type { Lowering } from './lowerings/lowering.ts'
import { fill, shapeOf } from './rule.ts'
import { convolutionOf } from './rules/window.ts'
import { type Statistics, writeOutBatchNormalization } from './training-form.ts'
import { heldState, rateFactors, type UpdateOptions, updateState, writeUpdate } from './update.ts'

/** A flat vector, its layout and its first content. */
export interface FlatVector {
  readonly slots: readonly Slot[]
  readonly initial: Float32Array
}

/** What a graph of a training reads and changes. */
export interface TrainingGraph {
  readonly feeds: Feeds
  readonly weights: FlatVector
  /** Running means and variances of BatchNormalization; of length 0 where there are none. */
  readonly statistics: FlatVector
  /** The vectors that it changes, as they are before the first step: `name` in, `name_next` out. */
  readonly vectors: Readonly<Record<string, Float32Array>>
  /** Vectors that it reads and that change between steps alone: `name` in. */
  readonly held: Readonly<Record<string, Float32Array>>
  /** How many terms the loss has: where there are several, `terms` gives their weighted values. */
  readonly terms: number
  /** Vectors whose next content may be written over the present one. */
  readonly inPlace: ReadonlySet<string>
}

/** What a graph does to vectors. */
export type Changes = Pick<TrainingGraph, 'vectors' | 'held' | 'inPlace'>

/** What becomes of the gradient: an update of the weights, or a part of the sum over several batches. */
export type Tail = 'update' | 'accumulate'

/** Everything that decides what the graphs of a training are. */
export interface Definition {
  readonly model: Model
  readonly forward: ForwardOptions
  readonly update: UpdateOptions
}

/**
 * Forward pass, loss, backward pass and tail as one model.
 *
 * Inputs: what is fed, `weights` and the other vectors, the scalars `hyper0` … (for an update). Outputs: `loss` and
 * the next vectors.
 */
export async function wholeGraph(
  { model, forward, update }: Definition,
  tail: Tail,
  lowering: Lowering,
): Promise<TrainingGraph & { readonly model: Model }> {
  const pass = await forwardPass(model, forward)
  const { g, graph, feeds } = pass
  const gradients = differentiate(pass, lowering, forward.where)
  const written = writeOutNormalizations(pass)
  const weights = vectorOf(pass.weights)
  const flat = inputOf(g, 'weights', weights)
  const statistics = vectorOf(runningOf(pass, written))
  const batch = packStatistics(pass, g, written)
  const parts = { flat, gradient: pack(g, gradients), batch }
  const vectors = {
    ...writeTail(g, pass, { ...parts, weights, statistics, written }, update, tail),
    ...writeMemories(pass),
  }
  lowerConvolutions(pass, lowering)
  finish(pass, flat, statistics)
  lowering.finish?.(graph)
  declareDomains(pass.model)
  const inPlace = safeInPlace(graph, Object.keys(vectors))
  const terms = pass.terms.length
  const held = tail === 'update' ? heldState(update, weights.slots) : {}
  return { model: pass.model, feeds, weights, statistics, vectors, held, terms, inPlace }
}

/** The same as two models, for an engine that differentiates by itself. */
export interface SplitGraph extends TrainingGraph {
  /** From what is fed and `weights` to `loss` and, where there are any, `batch_statistics`. */
  readonly forward: Model
  /** From `gradient`, `batch_statistics` and the vectors to the next vectors. */
  readonly tail: Model
}

/** Forward pass and tail as two models; the gradient of the loss by the flat weights is the engine's business. */
export async function splitGraph(
  { model, forward, update }: Definition,
  tail: Tail,
): Promise<SplitGraph> {
  const pass = await forwardPass(model, forward)
  const { g, feeds } = pass
  const written = writeOutNormalizations(pass)
  const weights = vectorOf(pass.weights)
  const statistics = vectorOf(runningOf(pass, written))
  const batch = packStatistics(pass, g, written)
  if (batch) g.output('batch_statistics', batch)
  forgetMemories(pass)
  finish(pass, inputOf(g, 'weights', weights), undefined)
  const made = newModel('tail')
  const input = (name: string, vector: FlatVector) => inputOf(made.g, name, vector)
  const parts = {
    flat: input('weights', weights),
    gradient: input('gradient', weights),
    batch: batch && input('batch_statistics', statistics),
  }
  const vectors = writeTail(made.g, pass, { ...parts, weights, statistics, written }, update, tail)
  const held = tail === 'update' ? heldState(update, weights.slots) : {}
  const inPlace = safeInPlace(made.g.graph, Object.keys(vectors))
  const terms = pass.terms.length
  return {
    ...{ forward: pass.model, tail: made.model },
    ...{ feeds, weights, statistics, vectors, held, terms, inPlace },
  }
}

/** The update alone, by the sum of the gradients of several batches, which is fed as `gradient`. */
export async function updateGraph({
  model,
  forward,
  update,
}: Definition): Promise<Changes & { readonly model: Model }> {
  const pass = await forwardPass(model, forward)
  const weights = vectorOf(pass.weights)
  const made = newModel('update')
  const flat = inputOf(made.g, 'weights', weights)
  const gradient = inputOf(made.g, 'gradient', weights)
  const parts = { flat, gradient, weights, batch: undefined, statistics: vectorOf([]), written: [] }
  const vectors = writeTail(made.g, pass, parts, update, 'update')
  return {
    model: made.model,
    vectors,
    held: heldState(update, weights.slots),
    inPlace: safeInPlace(made.g.graph, Object.keys(vectors)),
  }
}

/** What a tail is made of. */
interface TailParts {
  readonly flat: Value
  readonly gradient: Value
  /** The batch's statistics as a flat vector. */
  readonly batch: Value | undefined
  readonly weights: FlatVector
  readonly statistics: FlatVector
  readonly written: readonly Statistics[]
}

/** Writes a tail; gives the vectors that it changes. */
function writeTail(
  g: Builder,
  pass: Forward,
  { flat, gradient, batch, weights, statistics, written }: TailParts,
  update: UpdateOptions,
  tail: Tail,
): Record<string, Float32Array> {
  if (batch) writeStatistics(g, pass, written, statistics, batch)
  const kept = batch ? { statistics: statistics.initial } : {}
  if (tail === 'accumulate') {
    g.output('accumulated_next', g.Add(inputOf(g, 'accumulated', weights), gradient))
    return { accumulated: new Float32Array(weights.initial.length), ...kept }
  }
  const factors = withParameterRates(
    rateFactors(pass.layers, pass.weights, weights.slots, update.rates),
    pass,
    weights,
    update,
  )
  writeUpdate(g, flat, gradient, weights.slots, factors, update)
  return { weights: weights.initial, ...updateState(update, weights.initial), ...kept }
}

/** Writes the gradients of the loss by all weights behind a forward pass; zeros where there is none. */
export function differentiate(
  { g, loss, weights, detached, straight, parameters }: Forward,
  lowering: Lowering,
  where?: string,
): Value[] {
  const found = backward(g, loss, new Set(weights), lowering, { where, detached, straight })
  return weights.map((weight) => {
    const gradient = found.get(weight) ?? fill(g, 0, shapeOf(weight))
    const { gradientScale = 1, decay = 0 } = parameters.get(weight) ?? {}
    const scaled = gradientScale === 1 ? gradient : g.Mul(gradient, gradientScale)
    return decay === 0 ? scaled : g.Add(scaled, g.Mul(weight, 2 * decay))
  })
}

/** Lets updates that have a size of their own be small for quantization parameters that are small. */
function withParameterRates(
  factors: Float32Array | undefined,
  { parameters, weights }: Forward,
  { slots, initial }: FlatVector,
  { optimizer }: UpdateOptions,
): Float32Array | undefined {
  if (parameters.size === 0 || optimizer.name === 'sgd') return factors
  const own = factors ?? new Float32Array(initial.length).fill(1)
  for (const [index, { offset, size }] of slots.entries()) {
    const parameter = parameters.get(weights[index]!)
    if (!parameter) continue
    for (let at = offset; at < offset + size; at++) own[at]! *= parameter.size
  }
  return own
}

/** Replaces the training form of all normalizations; gives the statistics of the first pass, which are kept. */
function writeOutNormalizations({ graph, statistics, further }: Forward): Statistics[] {
  const written = statistics.map((entry) => writeOutBatchNormalization(graph, entry))
  for (const entry of further) writeOutBatchNormalization(graph, entry)
  return written
}

/** Writes what losses remember: `memory0` in, `memory0_next` out; gives the vectors as they are at first. */
function writeMemories({ g, memories }: Forward): Record<string, Float32Array> {
  return Object.fromEntries(
    memories.map(({ input, initial, next }) => {
      g.output(`${input.name}_next`, next ?? input)
      return [input.name, initial]
    }),
  )
}

/** Lets what losses remember be what it is at first, for passes whose loss does not count. */
function forgetMemories({ graph, memories }: Forward): void {
  for (const { input, initial } of memories) {
    graph.inputs.splice(graph.inputs.indexOf(input), 1)
    input.tensor = tensorOf('float32', [initial.length], initial)
    graph.initializers.add(input)
  }
}

/** What all graphs with a forward pass end with: weights from the flat vector, the loss, no needless nodes. */
function finish(
  { g, graph, loss, terms, weights, followed }: Forward,
  flat: Value,
  statistics: FlatVector | undefined,
): void {
  const front = build(graph, graph.nodes[0])
  // Ranges that follow the batches are read where they are kept.
  const kept = graph.inputs.find(({ name }) => name === 'statistics')
  if (kept && statistics)
    for (const [index, slot] of statistics.slots.slice(-followed.length || Infinity).entries())
      replaceInitializer(graph, followed[index]!.range, unpack(front, kept, slot))
  for (const [index, slot] of layOut(weights).slots.entries())
    replaceInitializer(graph, weights[index]!, unpack(front, flat, slot))
  g.output('loss', loss)
  if (terms.length > 1) g.output('terms', pack(g, terms))
  removeDeadNodes(graph)
  mergeCommonSubexpressions(graph)
  removeUnusedInitializers(graph)
}

/** Rewrites the forward convolutions whose weights change from step to step, where the lowering knows better. */
function lowerConvolutions({ graph, weights, straight }: Forward, lowering: Lowering): void {
  const trained = new Set<Value | undefined>(weights)
  for (const node of graph.nodes) {
    if (node.domain !== '' || node.opType !== 'Conv') continue
    const weight = node.inputs[1]
    // Weights that go through a fake quantization change with them.
    const changes = [weight, weight?.producer?.inputs[0]].some((each) => each && straight.has(each))
    if (!trained.has(weight) && !changes) continue
    const g = build(graph, node)
    const convolution = convolutionOf(node)
    const plain = lowering.convolution(g, convolution)
    if (!plain) continue
    const bias = node.inputs[2]
    const column = [convolution.yShape[1]!, ...convolution.output.map(() => 1)]
    const made = bias ? g.Add(plain, g.Reshape(bias, column)) : plain
    // A convolution right behind this one asks for the shape.
    made.type = node.output().type
    graph.replaceUses(node.output(), made)
    graph.remove(node)
  }
}

/** Lets a value take the place of an initializer. */
function replaceInitializer(graph: Graph, initializer: Value, value: Value): void {
  value.type = initializer.type
  graph.replaceUses(initializer, value)
  graph.initializers.delete(initializer)
}

const vectorOf = (values: readonly Value[]): FlatVector => ({
  slots: layOut(values).slots,
  initial: flatten(values),
})

/** What follows the batches: statistics of normalizations, then ranges of observers. */
const runningOf = ({ followed }: Forward, statistics: readonly Statistics[]): Value[] => [
  ...statistics.flatMap((entry) => [entry.runningMean, entry.runningVariance]),
  ...followed.map(({ range }) => range),
]

/** The statistics of a batch as one flat vector; undefined where there are none. */
const packStatistics = (
  { followed }: Forward,
  g: Builder,
  statistics: readonly Statistics[],
): Value | undefined => {
  const values = [
    ...statistics.flatMap((entry) => [entry.batchMean, entry.batchVariance]),
    ...followed.map(({ batch }) => batch),
  ]
  return values.length === 0 ? undefined : pack(g, values)
}

const inputOf = (g: Builder, name: string, { initial }: FlatVector): Value =>
  g.input(name, { dtype: 'float32', shape: [initial.length] })

/** running ← momentum · running + (1 - momentum) · batch, for all that follows the batches at once. */
function writeStatistics(
  g: Builder,
  { followed }: Forward,
  statistics: readonly Statistics[],
  { slots, initial }: FlatVector,
  batch: Value,
): void {
  const shape = [initial.length]
  const flat = g.input('statistics', { dtype: 'float32', shape })
  const kept = new Float32Array(initial.length)
  for (const [index, { momentum }] of statistics.entries())
    for (const { offset, size } of slots.slice(2 * index, 2 * index + 2))
      kept.fill(momentum, offset, offset + size)
  const [{ momentum } = { momentum: 0 }] = followed
  const ranges = new Float32Array(initial.length)
  for (const { offset, size } of slots.slice(2 * statistics.length))
    ranges.fill(1, offset, offset + size)
  const own = g.constant(tensorOf('float32', shape, kept), 'kept')
  const keep = followed.length
    ? g.Add(own, g.Mul(g.constant(tensorOf('float32', shape, ranges), 'ranges'), momentum))
    : own
  g.output('statistics_next', g.Add(g.Mul(flat, keep), g.Mul(batch, g.Sub(1, keep))))
}
