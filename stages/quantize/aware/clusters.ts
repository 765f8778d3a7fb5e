// Weights that are clustered: which ones are equal, so that they stay so (cluster-preserving training).
import { elements, type Tensor, tensorOf } from '../../../onnx/tensor.ts'

/** Weights as codes into a table. */
export interface Clusters {
  /** The different weights, those of a channel together where each channel has its own. */
  readonly codebook: Tensor
  /** Where each weight stands in it; int64, of the shape of the weights. */
  readonly codes: Tensor
}

/** More different weights than this are none that somebody has clustered. */
const most = 256

/**
 * Gives the clusters of weights that have few different values, in all or in each channel; undefined where there are
 * many.
 *
 * A cluster has four weights or more in the mean: otherwise equal weights are a matter of chance.
 */
export function clusteredWeight(weights: Tensor, channelAxis: number): Clusters | undefined {
  const { dims } = weights
  const inner = dims.slice(channelAxis + 1).reduce((product, dim) => product * dim, 1)
  const ways = [() => 0, (index: number) => Math.floor(index / inner) % dims[channelAxis]!]
  for (const tableOf of ways) {
    const { largest, ...clusters } = clustersOf(weights, tableOf)
    const { size } = clusters.codebook
    if (size >= 2 && size * 4 <= weights.size && largest <= most) return clusters
  }
  return undefined
}

/** The clusters of weights, in a table for all of the same number; and how many values the largest table has. */
export function clustersOf(
  weights: Tensor,
  tableOf: (index: number) => number,
): Clusters & { readonly largest: number } {
  const codebook: number[] = []
  const tables = new Map<number, Map<number, number>>()
  const codes = Array.from(elements(weights, 'float32'), (value, index) => {
    const table = tables.get(tableOf(index)) ?? new Map<number, number>()
    tables.set(tableOf(index), table)
    // -0 is 0 to a Map, as it is to a product.
    const code = table.get(value) ?? codebook.push(value) - 1
    table.set(value, code)
    return code
  })
  return {
    codebook: tensorOf('float32', [codebook.length], codebook),
    codes: tensorOf('int64', weights.dims, BigInt64Array.from(codes, BigInt)),
    largest: [...tables.values()].reduce((largest, { size }) => Math.max(largest, size), 0),
  }
}
