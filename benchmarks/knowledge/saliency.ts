// Whether two models look at the same parts of a sample: how alike the gradients of their largest logits by the input are
// (Simonyan et al. 2014).
import type { Predictions } from '../../tasks/task.ts'
import type { Knowledge } from '../report/report.ts'

/** How alike two models' input gradients are. */
export type SaliencyAgreement = NonNullable<Knowledge['saliency']>

/** The share of the cells whose overlap is measured: those with the largest gradients. */
const topShare = 0.1

/**
 * The mean cosine of the gradients of two models for the same samples, and the mean overlap of the cells with the largest
 * absolute ones. A gradient of zeros points nowhere: its cosine and overlap count as 0. Null where a gradient is not finite.
 */
export function saliencyAgreement(one: Predictions, other: Predictions): SaliencyAgreement | null {
  const { size, width } = one
  if (size === 0 || width !== other.width || other.size !== size) return null
  const most = Math.max(1, Math.round(topShare * width))
  let [cosines, overlaps] = [0, 0]
  for (let index = 0; index < size; index++) {
    const [own, theirs] = [one.row(index), other.row(index)]
    let [product, ownSquares, theirSquares] = [0, 0, 0]
    for (let i = 0; i < width; i++) {
      product += own[i]! * theirs[i]!
      ownSquares += own[i]! ** 2
      theirSquares += theirs[i]! ** 2
    }
    if (!Number.isFinite(ownSquares + theirSquares)) return null
    if (ownSquares === 0 || theirSquares === 0) continue
    cosines += product / Math.sqrt(ownSquares * theirSquares)
    const top = new Set(largestCells(own, most))
    overlaps += largestCells(theirs, most).filter((cell) => top.has(cell)).length / most
  }
  return { cosine: Math.max(-1, Math.min(1, cosines / size)), overlap: overlaps / size }
}

/** The positions of the largest absolute values, the first of equals. */
function largestCells(values: Float32Array, count: number): number[] {
  const sizes = values.map(Math.abs)
  const least = Float32Array.from(sizes).sort()[values.length - count]!
  const cells: number[] = []
  // Of those as large as the smallest that counts, as many as there is room for.
  let room = count - sizes.reduce((above, size) => above + Number(size > least), 0)
  for (let i = 0; i < sizes.length; i++)
    if (sizes[i]! > least || (sizes[i] === least && room-- > 0)) cells.push(i)
  return cells
}
