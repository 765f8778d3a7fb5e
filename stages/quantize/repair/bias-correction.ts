// Bias correction: rounding shifts the mean of what a layer gives, and the bias can take that back.
import type { Model, Node, Value } from '../../../onnx/graph.ts'
import { elements, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { inferTypes } from '../../../runtime/shapes.ts'
import { type Channelled, channelMeans, sumAndCount } from '../../recalibrate/channel-means.ts'
import type { StageContext } from '../../stage.ts'
import { sumsOver } from '../../sums.ts'
import { type AddToOutputs, adderOf } from './biases.ts'
import { dequantized, type QuantizedLayer, quantizedLayers } from './quantized-layers.ts'

/** What a correction did. */
export interface BiasCorrection {
  readonly layers: number
  /** Layers that have no place for a correction. */
  readonly left: number
}

/** How much is looked at, and by whom. */
export interface Evidence {
  readonly samples: number
  readonly context: StageContext
}

/** Corrects the biases of a quantized model, in place. */
type Correct = (float: Model, quantized: Model, evidence: Evidence) => Promise<BiasCorrection>

/** The forms of bias correction. */
export const biasCorrections = {
  /**
   * b - E[(Ŵ - W) x], the mean of what the change of the weights makes of the float model's inputs (Nagel et al. 2019,
   * "Data-free quantization", equation 17, with measured inputs). It is measured as an output of its own, so that the
   * mean is over the places that a window sees, the zeros of padding included: (Ŵ - W)·E[x] with one mean a channel would
   * take the borders for the middle (measured instead, static uint8, output's signal to noise: vww96 32.8 instead of 36.0
   * dB with one scale a tensor and 38.1 instead of 39.0 with one a channel; tiny-resnet8 24.6 and 24.2, 28.1 and 28.8;
   * ResNet-20 26.8 and 26.5, 28.3 and 28.0).
   */
  fast: correctByInputs,
  /**
   * b + E[y] - E[ŷ], layer by layer, each behind those corrected before (Nagel et al. 2019, appendix D; Banner et al.
   * 2019): what rounding did to the inputs is taken back as well.
   */
  full: correctByOutputs,
} as const satisfies Record<string, Correct>

/** The name of a form. */
export type BiasCorrectionName = keyof typeof biasCorrections

async function correctByInputs(
  float: Model,
  quantized: Model,
  { samples, context }: Evidence,
): Promise<BiasCorrection> {
  const { placed, left } = await placesIn(float, quantized)
  const sums = await sumsOver(
    float,
    (g, named) =>
      placed.flatMap(({ layer, means }) => {
        const { opType, attributes } = layer.float
        const inputs = [named(layer.float.input(0).name), changeOf(layer)]
        const [shift] = g.node(opType, inputs)
        for (const [name, attribute] of attributes) shift!.producer!.attributes.set(name, attribute)
        return sumAndCount(g, shift!, means)
      }),
    { samples, context },
  )
  for (const [index, { add }] of placed.entries()) {
    const count = sums[2 * index + 1]![0]!
    const shifts = sums[2 * index]!.map((sum) => -sum / count)
    if (shifts.every(Number.isFinite)) add(shifts)
  }
  return { layers: placed.length, left }
}

/** Ŵ - W */
function changeOf({ weights, codes }: QuantizedLayer): Tensor {
  const [before, after] = [elements(weights, 'float32'), dequantized(codes)]
  return tensorOf(
    'float32',
    weights.dims,
    after.map((value, at) => value - before[at]!),
  )
}

async function correctByOutputs(
  float: Model,
  quantized: Model,
  { samples, context }: Evidence,
): Promise<BiasCorrection> {
  const { placed, left } = await placesIn(float, quantized)
  const goals = placed.map(({ means }) => means)
  const wanted = await channelMeans(float, goals, samples, context)
  const byNode = new Map(placed.map((each) => [each.layer.node, each]))
  for (const level of levelsOf(quantized.graph.nodes, byNode)) {
    const here = level.map(({ layer, means }) => ({ ...means, name: layer.node.output().name }))
    const reached = await channelMeans(quantized, here, samples, context)
    for (const { layer, add, means } of level) {
      const found = reached.get(layer.node.output().name)!
      const lacking = wanted.get(means.name)!.map((mean, channel) => mean - found[channel]!)
      if (lacking.every(Number.isFinite)) add(lacking)
    }
  }
  return { layers: placed.length, left }
}

/** A layer whose bias can be corrected. */
interface Place {
  readonly layer: QuantizedLayer
  readonly add: AddToOutputs
  /** What it gives in the float model. */
  readonly means: Channelled
}

/** The layers that both models have and a correction has a place in, and how many it has none in. */
async function placesIn(
  float: Model,
  quantized: Model,
): Promise<{ readonly placed: readonly Place[]; readonly left: number }> {
  const layers = quantizedLayers(float.graph, quantized.graph)
  const shapes = await shapesIn(float)
  const placed = layers.flatMap((layer) => {
    const add = adderOf(quantized.graph, layer)
    const means = channelled(layer.float.output(), shapes, layer.float.opType === 'Conv' ? 1 : -1)
    return add && means ? [{ layer, add, means }] : []
  })
  return { placed, left: layers.length - placed.length }
}

/** Layers that do not depend on each other together, each behind those that it depends on. */
function levelsOf<Item>(nodes: readonly Node[], items: ReadonlyMap<Node, Item>): Item[][] {
  const depths = new Map<Value, number>()
  const levels: Item[][] = []
  for (const node of nodes) {
    const before = Math.max(0, ...node.inputs.map((input) => (input && depths.get(input)) ?? 0))
    const item = items.get(node)
    if (item !== undefined) {
      levels[before] ??= []
      levels[before].push(item)
    }
    for (const output of node.outputs)
      if (output) depths.set(output, before + Number(item !== undefined))
  }
  return levels
}

type Shapes = ReadonlyMap<Value, readonly unknown[] | undefined>

async function shapesIn(model: Model): Promise<Shapes> {
  const types = await inferTypes(model)
  return new Map([...types].map(([value, { shape }]) => [value, shape]))
}

/** A value and its axis of channels; -1 is the last. */
function channelled(value: Value, shapes: Shapes, at: number): Channelled | undefined {
  const shape = shapes.get(value)
  if (!shape || shape.length < 2) return undefined
  const axis = at < 0 ? at + shape.length : at
  const channels = shape[axis]
  return typeof channels === 'number'
    ? { name: value.name, axis, rank: shape.length, channels }
    : undefined
}
