// Outlier channel splitting: the input channels with the largest weights are given to a layer twice, with half of the
// weights each, so that the range that all weights share becomes narrower.
import { build } from '../../../onnx/build.ts'
import type { Graph, Node } from '../../../onnx/graph.ts'
import { removeUnusedInitializers } from '../../../onnx/passes/dead-nodes.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { largestAlong, setOwnConstant, takingLayers } from './inputs.ts'

/** How channels are split. */
export interface SplitOptions {
  /** Channels that a layer gets more, as a share of those that it has; rounded up. */
  readonly expand: number
  /** The largest integer of a weight, which the largest weight becomes: 127 for 8 bits. */
  readonly highest: number
}

/** What a splitting did. */
export interface Split {
  readonly layers: number
  /** Channels that the layers got more. */
  readonly channels: number
}

/** A copy of a channel: its weights are `share · w + steps · Δ`. */
interface Copy {
  readonly channel: number
  readonly share: number
  readonly steps: number
}

/** Layers whose range does not become narrower by so much are left alone. */
const worthwhile = 0.95

/**
 * Splits the input channels with the largest weights of every layer, in place: w becomes (w - Δ/2) / 2 and (w + Δ/2) / 2
 * with Δ the step of the weights, which round to what w rounds to (Zhao et al. 2019, "Improving neural network
 * quantization without retraining using outlier channel splitting", equation 8).
 *
 * A Gather before the layer gives it the channels twice. Convolutions in groups, excluded layers, and layers whose range
 * becomes less than 5 % narrower are left alone. The model computes what it did, but for rounding.
 */
export function splitOutliers(
  graph: Graph,
  excluded: ReadonlySet<Node>,
  { expand, highest }: SplitOptions,
): Split {
  let [layers, channels] = [0, 0]
  for (const { node, weights, axis, channels: inputAxis } of takingLayers(graph, excluded)) {
    if (axis === undefined) continue
    const values = elements(weights, 'float32')
    const largest = largestAlong(weights, values, axis)
    const copies = copiesOf(largest, Math.ceil(expand * largest.length))
    const [before, after] = [Math.max(...largest), rangeOf(copies, largest)]
    if (!(after < worthwhile * before)) continue
    setOwnConstant(graph, node, 1, widened(weights, values, axis, copies, after / highest))
    const g = build(graph, node)
    const indices = tensorOf(
      'int64',
      [copies.length],
      copies.map(({ channel }) => channel),
    )
    node.setInput(0, g.Gather(node.input(0), indices, { axis: inputAxis }))
    layers++
    channels += copies.length - largest.length
  }
  removeUnusedInitializers(graph)
  return { layers, channels }
}

/** Splits the copy with the largest weights, so many times; copies of channels that are not split come first. */
function copiesOf(largest: Float64Array, splits: number): Copy[] {
  const copies: Copy[] = Array.from(largest.keys(), (channel) => ({ channel, share: 1, steps: 0 }))
  for (let split = 0; split < splits; split++) {
    let most = 0
    for (let at = 1; at < copies.length; at++)
      if (sizeIn(largest, copies[at]!) > sizeIn(largest, copies[most]!)) most = at
    const { channel, share, steps } = copies[most]!
    copies[most] = { channel, share: share / 2, steps: steps / 2 - 1 / 4 }
    copies.push({ channel, share: share / 2, steps: steps / 2 + 1 / 4 })
  }
  return copies
}

const sizeIn = (largest: Float64Array, { channel, share }: Copy): number =>
  largest[channel]! * share

const rangeOf = (copies: readonly Copy[], largest: Float64Array): number =>
  copies.reduce((most, copy) => Math.max(most, sizeIn(largest, copy)), 0)

/** The weights with an index for each copy along an axis. */
function widened(
  { dims }: Tensor,
  values: Float32Array,
  axis: number,
  copies: readonly Copy[],
  step: number,
): Tensor {
  const stride = sizeOf(dims.slice(axis + 1))
  const [before, after] = [dims[axis]!, copies.length]
  const shape = dims.with(axis, after)
  const result = new Float32Array(sizeOf(shape))
  for (let at = 0; at < result.length; at++) {
    const { channel, share, steps } = copies[Math.floor(at / stride) % after]!
    const outer = Math.floor(at / (stride * after))
    const value = values[(outer * before + channel) * stride + (at % stride)]!
    // Weights that are zero, as pruned ones are, stay zero.
    result[at] = value === 0 ? 0 : share * value + steps * step
  }
  return tensorOf('float32', shape, result)
}
