// Channels go one after the other, each time the one that the outputs of the layers behind miss least.
import { UserError } from '../../../base/errors.ts'
import type { Group, Part } from '../../../channels/groups.ts'
import { elements } from '../../../onnx/tensor.ts'
import { aggregated, unitsOf } from '../aggregate.ts'
import { type MatrixLayer, matrixLayersOf, offsetOf } from '../matrix-layers.ts'
import { inputMoments } from '../moments.ts'
import type { ScoreChannels } from './criterion.ts'

/**
 * The squared error of the outputs of the layers behind, over all there is, once a channel has gone with those that go
 * before it (Luo et al. 2017, equation 6 and algorithm 1): all outputs and positions of the samples, not some drawn at
 * random.
 *
 * Channels that no convolution or product takes are a {@link UserError}.
 */
export const thinet: ScoreChannels = async (subject) => {
  const { groups, model, aggregate } = subject
  const layers = new Map(matrixLayersOf(model.graph).map((layer) => [layer.weight.name, layer]))
  const takers = new Map(groups.map((group) => [group, takersOf(group, layers)]))
  const wanted = new Set([...takers.values()].flat().map(({ layer }) => layer))
  const products = new Map<MatrixLayer, Float64Array>()
  for await (const { layer, sums } of inputMoments(model, subject, [...wanted])) {
    weigh(layer, sums)
    products.set(layer, sums)
  }
  return new Map(
    groups.map((group) => {
      const units = unitsOf(takers.get(group)!, aggregate).map((unit) =>
        greedily(missing(group, unit, products)),
      )
      return [group, aggregated(units, group.channels, aggregate)]
    }),
  )
}

/** A weight that takes the channels of a group. */
interface Taker {
  readonly part: Part
  readonly layer: MatrixLayer
}

function takersOf({ name, parts }: Group, layers: ReadonlyMap<string, MatrixLayer>): Taker[] {
  const found = parts.flatMap((part) => {
    const layer = layers.get(part.place.value.name)
    return part.place.role === 'in' && layer && layer.axes.in === part.place.axis
      ? [{ part, layer }]
      : []
  })
  if (found.length === 0)
    throw new UserError(
      `criterion: 'thinet' looks at the convolution or product behind, and there is none behind '${name}' — leave the layer out with exclude, or use another criterion, as l1`,
    )
  return found
}

/** Multiplies the moments of inputs, in place, by those of their weights: what each pair of inputs adds to Σ y². */
function weigh({ form, weight }: MatrixLayer, moments: Float64Array): void {
  const { groups, rows, columns } = form
  const weights = elements(weight.tensor!, 'float32')
  const row = new Float64Array(columns)
  const products = new Float64Array(columns * columns)
  for (let group = 0; group < groups; group++) {
    products.fill(0)
    for (let output = 0; output < rows; output++) {
      for (let at = 0; at < columns; at++) row[at] = weights[offsetOf(form, group, output, at)]!
      for (let one = 0; one < columns; one++) {
        const own = row[one]!
        for (let other = 0; other < columns; other++)
          products[one * columns + other]! += own * row[other]!
      }
    }
    for (let at = 0; at < products.length; at++)
      moments[group * products.length + at]! *= products[at]!
  }
}

/** What each pair of channels adds to Σ y² of the layers behind, as shares of it: `[channels, channels]`. */
function missing(
  group: Group,
  takers: readonly Taker[],
  products: ReadonlyMap<MatrixLayer, Float64Array>,
): Float64Array {
  const { channels } = group
  const total = new Float64Array(channels * channels)
  for (const { part, layer } of takers) {
    const { groups, columns } = layer.form
    const pairs = products.get(layer)!
    const window = columns / layer.weight.tensor!.dims[layer.axes.in]!
    const owner = new Int32Array(columns).fill(-1)
    for (const [channel, indices] of part.indices.entries())
      for (const index of indices) owner.fill(channel, index * window, (index + 1) * window)
    // Inputs of other groups, beside these in a Concat, are a part of the outputs as well.
    const energy = pairs.reduce((sum, own) => sum + own, 0)
    if (energy <= 0) continue
    for (let start = 0; start < groups * columns * columns; start += columns * columns)
      for (let one = 0; one < columns; one++)
        for (let other = 0; other < columns; other++) {
          const [a, b] = [owner[one]!, owner[other]!]
          if (a >= 0 && b >= 0)
            total[a * channels + b]! += pairs[start + one * columns + other]! / energy
        }
  }
  return total
}

/** The error once each channel has gone, the one that costs least going next; it never falls. */
function greedily(pairs: Float64Array): Float64Array {
  const channels = Math.sqrt(pairs.length)
  const scores = new Float64Array(channels)
  const cost = Float64Array.from({ length: channels }, (_, at) => pairs[at * channels + at]!)
  const left = new Set(cost.keys())
  let [error, most] = [0, 0]
  while (left.size > 0) {
    let next = -1
    for (const channel of left) if (next < 0 || cost[channel]! < cost[next]!) next = channel
    left.delete(next)
    error += cost[next]!
    most = Math.max(most + Number.EPSILON, error)
    scores[next] = most
    for (const channel of left) cost[channel]! += 2 * pairs[next * channels + channel]!
  }
  return scores
}
