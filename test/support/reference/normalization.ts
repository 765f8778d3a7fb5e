// Reference evaluators of normalizations.
import {
  at,
  axisOf,
  broadcastAt,
  type Evaluator,
  fill,
  type NdArray,
  numberOf,
  numbersOf,
  required,
} from './nd.ts'

/** Mean and population variance of the elements of x that share a key. */
function momentsBy(x: NdArray, keyOf: (position: readonly number[]) => string) {
  const groups = new Map<string, number[]>()
  fill(x.dims, (position) => {
    const key = keyOf(position)
    if (!groups.has(key)) groups.set(key, [])
    return groups.get(key)!.push(at(x, position))
  })
  const moments = new Map(
    [...groups].map(([key, values]) => {
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
      const square = values.reduce((sum, value) => sum + value * value, 0) / values.length
      return [key, { mean, variance, square }]
    }),
  )
  return (position: readonly number[]) => moments.get(keyOf(position))!
}

const zeros = (dims: readonly number[], axes: readonly number[]) =>
  dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))

const axesFrom = (x: NdArray, first: number): number[] =>
  [...x.dims.keys()].slice(axisOf(first, x.dims.length))

const layerNormalization: Evaluator = ([input, scale, bias], attributes) => {
  const x = required(input)
  const axes = axesFrom(x, numberOf(attributes, 'axis', -1))
  const epsilon = numberOf(attributes, 'epsilon', 1e-5)
  const moments = momentsBy(x, (position) => position.slice(0, axes[0]).join())
  const kept = zeros(x.dims, axes)
  const y = fill(x.dims, (position) => {
    const { mean, variance } = moments(position)
    const normal = (at(x, position) - mean) / Math.sqrt(variance + epsilon)
    return (
      normal * broadcastAt(required(scale), position) + (bias ? broadcastAt(bias, position) : 0)
    )
  })
  const mean = fill(kept, (position) => moments(position).mean)
  const inverse = fill(kept, (position) => 1 / Math.sqrt(moments(position).variance + epsilon))
  return { ...y, more: [mean, inverse] }
}

const rmsNormalization: Evaluator = ([input, scale], attributes) => {
  const x = required(input)
  const axes = axesFrom(x, numberOf(attributes, 'axis', -1))
  const epsilon = numberOf(attributes, 'epsilon', 1e-5)
  const moments = momentsBy(x, (position) => position.slice(0, axes[0]).join())
  return fill(
    x.dims,
    (position) =>
      (at(x, position) / Math.sqrt(moments(position).square + epsilon)) *
      broadcastAt(required(scale), position),
  )
}

/** Normalizes groups of channels of each sample. */
const groupwise =
  (groupsOf: (channels: number, attributes: Parameters<Evaluator>[1]) => number): Evaluator =>
  ([input, scale, bias], attributes) => {
    const x = required(input)
    const channels = x.dims[1]!
    const size = channels / groupsOf(channels, attributes)
    const moments = momentsBy(x, ([n, c]) => `${n} ${Math.floor(c! / size)}`)
    const epsilon = numberOf(attributes, 'epsilon', 1e-5)
    return fill(x.dims, (position) => {
      const { mean, variance } = moments(position)
      const normal = (at(x, position) - mean) / Math.sqrt(variance + epsilon)
      return normal * required(scale).data[position[1]!]! + required(bias).data[position[1]!]!
    })
  }

const lpNormalization: Evaluator = ([input], attributes) => {
  const x = required(input)
  const axis = axisOf(numberOf(attributes, 'axis', -1), x.dims.length)
  const p = numberOf(attributes, 'p', 2)
  return fill(x.dims, (position) => {
    const row = Array.from({ length: x.dims[axis]! }, (_, index) =>
      at(x, position.with(axis, index)),
    )
    const norm = row.reduce((sum, value) => sum + Math.abs(value) ** p, 0) ** (1 / p)
    return at(x, position) / norm
  })
}

const meanVariance: Evaluator = ([input], attributes) => {
  const x = required(input)
  const axes = numbersOf(attributes, 'axes', [0, 2, 3])
  const moments = momentsBy(x, (position) =>
    position.filter((_, axis) => !axes.includes(axis)).join(),
  )
  return fill(x.dims, (position) => {
    const { mean, variance } = moments(position)
    return (at(x, position) - mean) / (Math.sqrt(variance) + 1e-9)
  })
}

const localResponse: Evaluator = ([input], attributes) => {
  const x = required(input)
  const size = numberOf(attributes, 'size', 1)
  const alpha = numberOf(attributes, 'alpha', 1e-4)
  return fill(x.dims, (position) => {
    const channel = position[1]!
    const first = Math.max(0, channel - Math.floor((size - 1) / 2))
    const last = Math.min(x.dims[1]! - 1, channel + Math.ceil((size - 1) / 2))
    let squares = 0
    for (let index = first; index <= last; index++) squares += at(x, position.with(1, index)) ** 2
    const base = numberOf(attributes, 'bias', 1) + (alpha / size) * squares
    return at(x, position) / base ** numberOf(attributes, 'beta', 0.75)
  })
}

const total = (terms: readonly (NdArray | undefined)[]): NdArray =>
  fill(required(terms[0]).dims, (position) =>
    terms.reduce((sum, term) => sum + (term ? broadcastAt(term, position) : 0), 0),
  )

const skipLayer: Evaluator = ([x, skip, scale, beta, bias], attributes) => {
  const sum = total([x, skip, bias])
  const { dims, data } = layerNormalization([sum, scale, beta], { epsilon: 1e-12, ...attributes })
  return { dims, data, more: [undefined, undefined, sum] }
}

const skipRms: Evaluator = ([x, skip, scale, bias], attributes) => {
  const sum = total([x, skip, bias])
  const { dims, data } = rmsNormalization([sum, scale], { epsilon: 1e-12, ...attributes })
  return { dims, data, more: [undefined, undefined, sum] }
}

/** Evaluators by operator. */
export const normalizations: Readonly<Record<string, Evaluator>> = {
  GroupNormalization: groupwise((_, attributes) => numberOf(attributes, 'num_groups', 1)),
  InstanceNormalization: groupwise((channels) => channels),
  LRN: localResponse,
  LayerNormalization: layerNormalization,
  LpNormalization: lpNormalization,
  MeanVarianceNormalization: meanVariance,
  RMSNormalization: rmsNormalization,
  SimplifiedLayerNormalization: rmsNormalization,
  'com.microsoft.SkipLayerNormalization': skipLayer,
  'com.microsoft.SkipSimplifiedLayerNormalization': skipRms,
}
