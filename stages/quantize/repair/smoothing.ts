// SmoothQuant: activations whose channels differ by magnitudes share one scale badly, weights can take the difference.
import { build } from '../../../onnx/build.ts'
import { constantOf, type Model, type Node, type Value } from '../../../onnx/graph.ts'
import { removeUnusedInitializers } from '../../../onnx/passes/dead-nodes.ts'
import { elements, sizeOf, tensorOf } from '../../../onnx/tensor.ts'
import { inferTypes } from '../../../runtime/shapes.ts'
import { largestOver, type Summed } from '../../sums.ts'
import { largestAlong, setOwnConstant, type TakingLayer, takingLayers } from './inputs.ts'
import { applyFactors, type Scalable, scalableChannels } from './scalable.ts'

/** What a smoothing did. */
export interface Smoothed {
  /** Layers whose inputs were scaled by what makes them. */
  readonly folded: number
  /** Layers before which a Mul was put. */
  readonly multiplied: number
}

/** A value that layers take. */
interface TakenValue {
  readonly value: Value
  /** Not negative. */
  readonly axis: number
  readonly layers: readonly TakingLayer[]
  /** The factors of its channels, where what makes them can be scaled. */
  readonly factors: Int32Array | undefined
}

/**
 * Moves the differences between the channels of activations into the weights, in place: X / s and s · W with
 * s = max|X|^α / max|W|^(1 - α) for every channel (Xiao et al. 2023, "SmoothQuant", equation 4).
 *
 * 1 / s goes into what makes the channels — scale and shift of a LayerNormalization, weights of a layer — where that is
 * constant and only homogeneous operators lie between; elsewhere into a Mul before Gemm and MatMul. Convolutions behind
 * anything else stay as they are, and so do excluded layers. The model computes what it did, but for rounding.
 */
export async function smooth(
  model: Model,
  excluded: ReadonlySet<Node>,
  alpha: number,
  summed: Summed,
  where: string,
): Promise<Smoothed> {
  const scalable = await scalableChannels(model, where)
  const taken = await takenValues(model, scalable, excluded, where)
  const magnitudes = await channelMagnitudes(model, taken, summed, where)

  const factors = new Float64Array(scalable.count).fill(1)
  const [active, weighed] = [new Float64Array(factors.length), new Float64Array(factors.length)]
  let [folded, multiplied] = [0, 0]
  for (const [index, { factors: numbers, layers }] of taken.entries()) {
    if (!numbers) continue
    folded += layers.length
    const weights = weightMagnitudes(layers, numbers.length)
    for (const [channel, number] of numbers.entries()) {
      active[number] = Math.max(active[number]!, magnitudes[index]![channel]!)
      weighed[number] = Math.max(weighed[number]!, weights[channel]!)
    }
  }
  for (let number = 0; number < factors.length; number++)
    factors[number] = factorOf(active[number]!, weighed[number]!, alpha)
  applyFactors(scalable, factors)

  for (const [index, { factors: numbers, value, layers }] of taken.entries()) {
    if (numbers) continue
    const weights = weightMagnitudes(layers, magnitudes[index]!.length)
    const own = weights.map((weight, channel) =>
      factorOf(magnitudes[index]![channel]!, weight, alpha),
    )
    if (own.every((factor) => factor === 1)) continue
    multiplied += layers.length
    multiply(model, value, layers, own)
  }
  removeUnusedInitializers(model.graph)
  return { folded, multiplied }
}

/** s of one channel; 1 where it carries nothing. Below 1e-5 both count as that, as magnitudes of noise do. */
const factorOf = (active: number, weight: number, alpha: number): number =>
  active > 0 && weight > 0 && Number.isFinite(active)
    ? Math.max(active, least) ** alpha / Math.max(weight, least) ** (1 - alpha)
    : 1

const least = 1e-5

/** The inputs of layers that can be smoothed. */
async function takenValues(
  model: Model,
  scalable: Scalable,
  excluded: ReadonlySet<Node>,
  where: string,
): Promise<TakenValue[]> {
  const types = await inferTypes(model, { where })
  const byInput = new Map<string, TakingLayer[]>()
  for (const layer of takingLayers(model.graph, excluded)) {
    const key = `${layer.channels} ${layer.node.input(0).name}`
    byInput.set(key, [...(byInput.get(key) ?? []), layer])
  }
  return [...byInput.values()].flatMap((layers) => {
    const [{ node, channels }] = layers as [TakingLayer]
    const value = node.input(0)
    const rank = types.get(value)?.shape?.length
    if (rank === undefined || rank < 2) return []
    const axis = channels < 0 ? rank + channels : channels
    const factors = scalable.factorsOf(value.name, axis)
    const isMatrix = channels < 0
    const isPlain = layers.every(
      ({ weights, axis: own }) => own !== undefined || weights.dims[1] === 1,
    )
    return isMatrix || (factors && isPlain) ? [{ value, axis, layers, factors }] : []
  })
}

async function channelMagnitudes(
  model: Model,
  taken: readonly TakenValue[],
  summed: Summed,
  where: string,
): Promise<Float64Array[]> {
  const types = await inferTypes(model, { where })
  return largestOver(
    model,
    (g, named) =>
      taken.map(({ value, axis }) => {
        const rank = types.get(value)!.shape!.length
        const others = Array.from({ length: rank }, (_, at) => at).filter((at) => at !== axis)
        return g.ReduceMax(g.Abs(named(value.name)), others, { keepdims: 0 })
      }),
    summed,
    where,
  )
}

/** The largest magnitude with which any of the layers takes each channel. */
function weightMagnitudes(layers: readonly TakingLayer[], channels: number): Float64Array {
  const largest = new Float64Array(channels)
  for (const { weights, axis } of layers) {
    const values = elements(weights, 'float32')
    const own = largestAlong(weights, values, axis ?? 0)
    // Filters of a depthwise convolution lie in the order of the channels that they take.
    const each = own.length / channels
    for (const [index, value] of own.entries()) {
      const channel = axis === undefined ? Math.floor(index / each) : index
      largest[channel] = Math.max(largest[channel]!, value)
    }
  }
  return largest
}

/** Puts a Mul before layers, and its inverse into their weights. */
function multiply(
  { graph }: Model,
  value: Value,
  layers: readonly TakingLayer[],
  factors: Float64Array,
): void {
  const order = graph.nodes
  const first = Math.min(...layers.map(({ node }) => order.indexOf(node)))
  const g = build(graph, order[first])
  const inverse = Float32Array.from(factors, (factor) => 1 / factor)
  const smoothed = g.Mul(value, tensorOf('float32', [inverse.length], inverse))
  for (const { node, axis } of layers) {
    // What makes channels may have been scaled meanwhile.
    const weights = constantOf(node.inputs[1])!
    const stride = sizeOf(weights.dims.slice(axis! + 1))
    const values = elements(weights, 'float32').map(
      (weight, at) => weight / inverse[Math.floor(at / stride) % inverse.length]!,
    )
    setOwnConstant(graph, node, 1, tensorOf('float32', weights.dims, values))
    node.setInput(0, smoothed)
  }
}
