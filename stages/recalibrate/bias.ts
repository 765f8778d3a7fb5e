// Bias correction: what is gone took a part of every sum with it, whose mean the bias can give back.
import { cloneModel } from '../../onnx/clone.ts'
import { constantOf, type Graph, type Model, type Node, type Value } from '../../onnx/graph.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { removeUnusedInitializers } from '../../onnx/passes/dead-nodes.ts'
import { elements, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { inferTypes } from '../../runtime/shapes.ts'
import type { KeptChannels } from '../kept-channels.ts'
import type { Recalibrated, Recalibration } from '../recalibrate.ts'
import type { StageContext } from '../stage.ts'
import { type Channelled, type ChannelMeans, channelMeans } from './channel-means.ts'

/** A layer whose output has a bias, or can have one for nothing. */
interface Biased {
  readonly node: Node
  /** Which input of the node the bias is. */
  readonly input: number
  /** The axis of the channels of its output; -1 is the last. */
  readonly axis: number
  /** What the bias is multiplied with. */
  readonly factor: number
}

/** A layer and what its output is in both models. */
interface Matched extends Biased {
  readonly here: Channelled
  readonly there: Channelled
  /** The channels of the original that are left; undefined where all are. */
  readonly left: readonly number[] | undefined
}

/**
 * Brings the mean of every layer's output over calibration samples back to what it is in the original (Nagel et al.
 * 2019, section 4.2, with measured means as in appendix D), layer by layer, each behind those corrected before.
 *
 * Layers are Conv, ConvTranspose, Gemm, BatchNormalization and a MatMul with a constant added to it; a convolution
 * before a BatchNormalization leaves the correction to that. The means agree exactly after, but for rounding.
 */
export async function correctBiases(
  { model, original, kept, samples }: Recalibration,
  context: StageContext,
): Promise<Recalibrated> {
  const copy = cloneModel(model)
  liftConstants(copy)
  const biased = copy.graph.nodes.flatMap((node) => biasOf(node) ?? [])
  const matched = await match(copy, original, biased, kept)
  if (matched.length === 0)
    return { model, summary: 'there is no layer whose bias could be corrected' }
  const wanted = await channelMeans(
    original,
    matched.map(({ there }) => there),
    samples,
    context,
  )
  for (const level of levelsOf(copy.graph, matched)) {
    const means = await channelMeans(
      copy,
      level.map(({ here }) => here),
      samples,
      context,
    )
    for (const layer of level) shift(copy.graph, layer, wanted, means)
  }
  removeUnusedInitializers(copy.graph)
  const others = biased.length - matched.length
  const rest = others > 0 ? ` (${others} have no counterpart)` : ''
  return {
    model: copy,
    summary: `corrected the biases of ${matched.length} layers${rest}`,
  }
}

/** Where the bias of a node is; undefined where it has none and can have none. */
function biasOf(node: Node): Biased | undefined {
  const { opType, domain, inputs } = node
  if (domain !== '') return undefined
  if (opType === 'Conv' || opType === 'ConvTranspose') {
    const users = [...node.output().users]
    const isNormalized = users.length > 0 && users.every((user) => user.opType === normalization)
    return isNormalized || !isFloat(inputs[1]) ? undefined : { node, input: 2, axis: 1, factor: 1 }
  }
  if (opType === normalization)
    return isFloat(inputs[2]) ? { node, input: 2, axis: 1, factor: 1 } : undefined
  if (opType === 'Gemm') {
    const factor = node.number('beta', 1)
    return isFloat(inputs[1]) && factor !== 0 ? { node, input: 2, axis: -1, factor } : undefined
  }
  const input = opType === 'Add' ? inputs.findIndex(isFloat) : -1
  const isLayer = inputs[1 - input]?.producer?.opType === 'MatMul'
  return input >= 0 && isLayer ? { node, input, axis: -1, factor: 1 } : undefined
}

const normalization = 'BatchNormalization'

const isFloat = (value: Value | undefined): boolean => constantOf(value)?.dtype === 'float32'

/** The layers whose output the original has as well, with as many channels as are left of it. */
async function match(
  copy: Model,
  original: Model,
  biased: readonly Biased[],
  kept: KeptChannels,
): Promise<Matched[]> {
  const [own, theirs] = [await valuesOf(copy), await valuesOf(original)]
  return biased.flatMap((layer) => {
    const { name } = layer.node.output()
    const [here, there] = [own, theirs].map((values) => channelled(name, values(name), layer.axis))
    if (!here || !there) return []
    const left = kept.get(name)?.get(there.axis)
    if ((left?.length ?? there.channels) !== here.channels) return []
    const bias = constantOf(layer.node.inputs[layer.input])
    return bias && !isVector(bias, here.channels) ? [] : [{ ...layer, here, there, left }]
  })
}

/** One number a channel along the last axis, or the same one for all. */
const isVector = ({ dims, size }: Tensor, channels: number): boolean =>
  size === 1 || (size === channels && dims.at(-1) === channels)

/** The shapes of the values that nodes make, by name. */
async function valuesOf(model: Model) {
  const types = await inferTypes(model)
  const shapes = new Map([...types].map(([{ name }, { shape }]) => [name, shape]))
  return (name: string) => shapes.get(name)
}

function channelled(
  name: string,
  shape: readonly unknown[] | undefined,
  axis: number,
): Channelled | undefined {
  if (!shape || shape.length < 2) return undefined
  const place = axis < 0 ? axis + shape.length : axis
  const channels = shape[place]
  return typeof channels === 'number' && place > 0
    ? { name, axis: place, rank: shape.length, channels }
    : undefined
}

/** Layers that do not depend on each other together, each behind those that it depends on. */
function levelsOf(graph: Graph, layers: readonly Matched[]): Matched[][] {
  const byNode = new Map(layers.map((layer) => [layer.node, layer]))
  const depths = new Map<Value, number>()
  const levels: Matched[][] = []
  for (const node of graph.nodes) {
    const before = Math.max(0, ...node.inputs.map((input) => (input && depths.get(input)) ?? 0))
    const layer = byNode.get(node)
    if (layer) {
      levels[before] ??= []
      levels[before].push(layer)
    }
    for (const output of node.outputs) if (output) depths.set(output, before + Number(!!layer))
  }
  return levels
}

/** Adds to a bias what the mean of the output lacks. */
function shift(
  graph: Graph,
  { node, input, factor, here, there, left }: Matched,
  wanted: ChannelMeans,
  means: ChannelMeans,
): void {
  const [goal, now] = [wanted.get(there.name)!, means.get(here.name)!]
  const bias = constantOf(node.inputs[input])
  const old = bias ? elements(bias, 'float32') : new Float32Array(1)
  const values = Float32Array.from(now, (mean, channel) => {
    const before = old[old.length === 1 ? 0 : channel]!
    const lacking = goal[left ? left[channel]! : channel]! - mean
    // A mean that is not a number corrects nothing.
    return Number.isFinite(lacking) ? before + lacking / factor : before
  })
  const dims = bias && bias.size > 1 ? bias.dims : [here.channels]
  const tensor = tensorOf('float32', dims, values)
  const value = node.inputs[input]
  // A constant that others read stays what it is to them.
  if (value?.tensor && value.users.size === 1 && !graph.outputs.includes(value))
    Object.assign(value, { tensor, type: { dtype: 'float32', shape: dims } })
  else
    node.setInput(
      input,
      graph.addInitializer(value?.name ?? `${node.name || here.name}_bias`, tensor),
    )
}
