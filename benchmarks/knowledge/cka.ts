// How alike two models represent the same samples: linear centred kernel alignment (Kornblith et al. 2019), which does not
// mind rotations and one scale for all, added up over batches (Nguyen et al. 2021) so that memory does not grow.
import type { Predictions } from '../../tasks/task.ts'

/** Samples of a batch. The estimate does not depend on it, for HSIC is estimated without bias. */
const batchSize = 64

/** HSIC without bias needs so many samples. */
const fewest = 4

/**
 * CKA of two models' features for the same samples, row by row: 1 for features that are equal up to rotation and scale, about
 * 0 for independent ones.
 *
 * Σ HSIC₁(K, L) / √(Σ HSIC₁(K, K) · Σ HSIC₁(L, L)) over batches, K and L the Gram matrices (Nguyen et al. 2021, equation 2). The
 * order of the samples must be random. Null where features do not vary, are not finite, or are too few.
 */
export function cka(one: Predictions, other: Predictions): number | null {
  const size = Math.min(one.size, other.size)
  if (size < fewest) return null
  const batch = Math.min(batchSize, size)
  let [cross, own, theirs] = [0, 0, 0]
  for (let start = 0; start + batch <= size; start += batch) {
    const k = gram(one, start, batch)
    const l = gram(other, start, batch)
    cross += hsic(k, l, batch)
    own += hsic(k, k, batch)
    theirs += hsic(l, l, batch)
  }
  const value = own > 0 && theirs > 0 ? cross / Math.sqrt(own * theirs) : Number.NaN
  // By its own chance an estimate without bias may lie beyond the ends.
  return Number.isFinite(value) ? Math.max(-1, Math.min(1, value)) : null
}

/** Inner products of the features of every two samples of a batch, of features less their mean; zeros on the diagonal. */
function gram({ width, row }: Predictions, start: number, size: number): Float64Array {
  const features = new Float64Array(size * width)
  const mean = new Float64Array(width)
  for (let i = 0; i < size; i++) {
    const values = row(start + i)
    for (let d = 0; d < width; d++) {
      features[i * width + d] = values[d]!
      mean[d]! += values[d]! / size
    }
  }
  // HSIC does not see the mean, but what is left of large numbers is exact only without it.
  for (let i = 0; i < features.length; i++) features[i]! -= mean[i % width]!
  const products = new Float64Array(size * size)
  for (let i = 0; i < size; i++)
    for (let j = 0; j < i; j++) {
      let sum = 0
      for (let d = 0; d < width; d++) sum += features[i * width + d]! * features[j * width + d]!
      products[i * size + j] = sum
      products[j * size + i] = sum
    }
  return products
}

/**
 * HSIC₁, the estimate without bias, of two Gram matrices with zero diagonals (Song et al. 2012; Nguyen et al. 2021, equation
 * 3).
 */
function hsic(k: Float64Array, l: Float64Array, n: number): number {
  let [trace, sumK, sumL, mixed] = [0, 0, 0, 0]
  for (let i = 0; i < n; i++) {
    let [rowK, rowL] = [0, 0]
    for (let j = i * n; j < (i + 1) * n; j++) {
      trace += k[j]! * l[j]!
      rowK += k[j]!
      rowL += l[j]!
    }
    sumK += rowK
    sumL += rowL
    mixed += rowK * rowL
  }
  const rest = (sumK * sumL) / ((n - 1) * (n - 2)) - (2 * mixed) / (n - 2)
  return (trace + rest) / (n * (n - 3))
}
