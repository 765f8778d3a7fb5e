// Bias correction: rounding shifts the mean of what a layer gives, and the bias can take that back.
import type { Model, Node, Value } from '../../../onnx/graph.ts'
import { elements } from '../../../onnx/tensor.ts'
import { inferTypes } from '../../../runtime/shapes.ts'
import { type Channelled, channelMeans } from '../../recalibrate/channel-means.ts'
import type { StageContext } from '../../stage.ts'
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
   * b - (Ŵ - W)·E[x], with the mean of each channel of the float model's input, whatever the place in the window
   * (Nagel et al. 2019, "Data-free quantization", equation 17, with measured means).
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
  const { placed, left } = await placesIn(float, quantized, (layer) => layer.float.input(0))
  const inputs = new Map(placed.map(({ means }) => [means.name, means]))
  const found = await channelMeans(float, [...inputs.values()], samples, context)
  for (const { layer, add, means } of placed) {
    const expected = expectedShift(layer, found.get(means.name)!)
    if (expected.every(Number.isFinite)) add(expected.map((shift) => -shift))
  }
  return { layers: placed.length, left }
}

/** (Ŵ - W)·E[x] of every output. */
function expectedShift(layer: QuantizedLayer, means: Float64Array): Float64Array {
  const { weights, codes, float, axis, channels } = layer
  const [before, after] = [elements(weights, 'float32'), dequantized(codes)]
  const shifts = new Float64Array(channels)
  if (float.opType !== 'Conv') {
    const columns = weights.dims[1]!
    for (let at = 0; at < before.length; at++) {
      const [row, column] = [Math.floor(at / columns), at % columns]
      const [output, input] = axis === 0 ? [row, column] : [column, row]
      shifts[output]! += (after[at]! - before[at]!) * means[input]!
    }
    return shifts
  }
  const taken = weights.dims[1]!
  const window = before.length / (channels * taken)
  const perGroup = channels / float.number('group', 1)
  for (let at = 0; at < before.length; at++) {
    const output = Math.floor(at / (taken * window))
    const input = Math.floor(output / perGroup) * taken + (Math.floor(at / window) % taken)
    shifts[output]! += (after[at]! - before[at]!) * means[input]!
  }
  return shifts
}

async function correctByOutputs(
  float: Model,
  quantized: Model,
  { samples, context }: Evidence,
): Promise<BiasCorrection> {
  const { placed, left } = await placesIn(float, quantized, (layer) => layer.float.output())
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
  /** The value of the float model whose means decide. */
  readonly means: Channelled
}

/** The layers that both models have and a correction has a place in, and how many it has none in. */
async function placesIn(
  float: Model,
  quantized: Model,
  deciding: (layer: QuantizedLayer) => Value,
): Promise<{ readonly placed: readonly Place[]; readonly left: number }> {
  const layers = quantizedLayers(float.graph, quantized.graph)
  const shapes = await shapesIn(float)
  const placed = layers.flatMap((layer) => {
    const add = adderOf(quantized.graph, layer)
    const means = channelled(deciding(layer), shapes, layer.float.opType === 'Conv' ? 1 : -1)
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
