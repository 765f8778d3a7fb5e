// Banded matrices: what lies far from the main diagonal goes, diagonal by diagonal.
import { UserError } from '../../../base/errors.ts'
import type { Masked, MaskStructure } from './mask.ts'
import { eachPair, type Matrices } from './matrix.ts'

/**
 * Bands around the main diagonal, which goes from corner to corner.
 *
 * Of every matrix [outputs, inputs] the outermost diagonal on either side may go next; of all of them the one with
 * the smallest mean score does. The positions of a kernel go together. The main diagonal stays.
 */
export const banded: MaskStructure = {
  fits: ({ rows, columns }) => rows > 1 || columns > 1,
  masks(weights, { sparsity, progress }) {
    const total = weights.reduce((sum, { scores }) => sum + scores.length, 0)
    const wanted = Math.round(sparsity * progress * total)
    const bands = weights.flatMap((weight, index) => bandsOf(weight, index))
    const masks = weights.map(({ scores }) => new Float32Array(scores.length).fill(1))
    let zeros = 0
    while (zeros < wanted) {
      const next = leastOf(bands)
      if (!next)
        throw new UserError(
          `target.sparsity: cannot be reached: ${sparsity} — ${(Math.floor((zeros / total) * 1000) / 1000).toFixed(3)} is the most where the main diagonals stay; lower it, or choose other layers`,
        )
      for (const element of next.elements) masks[next.weight]![element] = 0
      zeros += next.elements.length
    }
    return masks
  },
}

interface Diagonal {
  readonly elements: readonly number[]
  readonly score: number
}

/** A matrix as its diagonals from one corner to the other, and how many are left. */
interface Band {
  readonly weight: number
  readonly diagonals: readonly Diagonal[]
  /** The main one. */
  readonly middle: number
  first: number
  last: number
}

/** Takes the least important of all outermost diagonals; undefined where only main ones are left. */
function leastOf(bands: readonly Band[]): (Diagonal & { readonly weight: number }) | undefined {
  let least: { band: Band; isFirst: boolean; diagonal: Diagonal } | undefined
  for (const band of bands)
    for (const isFirst of [true, false]) {
      const at = isFirst ? band.first : band.last
      const diagonal = band.diagonals[at]!
      if (at !== band.middle && (!least || diagonal.score < least.diagonal.score))
        least = { band, isFirst, diagonal }
    }
  if (!least) return undefined
  const { band, isFirst, diagonal } = least
  if (isFirst) band.first++
  else band.last--
  return { ...diagonal, weight: band.weight }
}

/** The matrices of a weight as diagonals. */
function bandsOf({ matrices, scores }: Masked, weight: number): Band[] {
  const found = new Map<number, Map<number, { elements: number[]; sum: number }>>()
  eachPair(matrices, (matrix, row, column, elements) => {
    const own = found.get(matrix) ?? new Map<number, { elements: number[]; sum: number }>()
    found.set(matrix, own)
    const offset = offsetOf(matrices, row, column)
    const diagonal = own.get(offset) ?? { elements: [], sum: 0 }
    own.set(offset, diagonal)
    for (const element of elements) {
      diagonal.elements.push(element)
      diagonal.sum += scores[element]!
    }
  })
  return [...found.values()].map((own) => {
    const offsets = [...own.keys()].sort((a, b) => a - b)
    const diagonals = offsets.map((offset) => {
      const { elements, sum } = own.get(offset)!
      return { elements, score: sum / elements.length }
    })
    const last = diagonals.length - 1
    return { weight, diagonals, middle: offsets.indexOf(0), first: 0, last }
  })
}

/** How far an element is from the diagonal from corner to corner: of each longer line one element is on it. */
function offsetOf({ rows, columns }: Matrices, row: number, column: number): number {
  return columns >= rows
    ? column - Math.floor((row * columns) / rows)
    : Math.floor((column * rows) / columns) - row
}
