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
  const values = elements(weights, 'float32')
  const inner = dims.slice(channelAxis + 1).reduce((product, dim) => product * dim, 1)
  const ways = [() => 0, (index: number) => Math.floor(index / inner) % dims[channelAxis]!]
  for (const tableOf of ways) {
    const codebook: number[] = []
    const tables = new Map<number, Map<number, number>>()
    const codes = Array.from(values, (value, index) => {
      const table = tables.get(tableOf(index)) ?? new Map<number, number>()
      tables.set(tableOf(index), table)
      // -0 is 0 to a Map, as it is to a product.
      const code = table.get(value) ?? codebook.push(value) - 1
      table.set(value, code)
      return code
    })
    const largest = Math.max(...[...tables.values()].map(({ size }) => size))
    if (codebook.length < 2 || codebook.length * 4 > values.length || largest > most) continue
    return {
      codebook: tensorOf('float32', [codebook.length], codebook),
      codes: tensorOf('int64', dims, BigInt64Array.from(codes, BigInt)),
    }
  }
  return undefined
}
