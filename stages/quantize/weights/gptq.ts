// GPTQ: Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: Accurate post-training quantization for generative pre-trained
// transformers" (2022), algorithm 1.
import { sweepFactor } from '../../prune/systems.ts'
import {
  type BlockFormat,
  type BlockWeights,
  codeOf,
  dequantized,
  quantizationAt,
  roundToNearest,
  type WeightMatrix,
} from './blocks.ts'
import { outputError } from './errors.ts'

/** What is added to the diagonal of H, as a share of its mean (the paper's 1 %). */
const damping = 0.01

/** The orders in which inputs are taken. */
export const inputOrders = {
  stored: 'as they lie in the weight',
  activation: 'those with the largest inputs first',
} as const

/** The name of an order. */
export type InputOrder = keyof typeof inputOrders

/**
 * Rounds column after column, each to what makes up best for the errors of those before.
 *
 * With H = Lᵀ L, L lower triangular, δᵀ H δ is Σⱼ (Σᵢ≤ⱼ Lⱼᵢ δᵢ)²: the update of the paper is to choose each δⱼ such that
 * its own term is as small as the grid allows. Scales are those of rounding to nearest (the paper's static groups); a
 * row that would come out worse than by that keeps it.
 *
 * `activation` takes columns by the diagonal of H, largest first, while most others can still make up for them (not in
 * the paper: `--act-order` of its authors' code, with the static groups that keep blocks of neighbours). Measured, signal
 * to noise of the outputs with int4 weights in blocks of 32 and 128, rounding to nearest, `stored`, `activation`: vision
 * transformer 14.2, 19.1, 22.2 dB and 13.6, 15.0, 20.4 dB; magika 22.6, 27.4, 27.2 dB and 16.7, 20.6, 21.7 dB.
 */
export function gptq(
  matrix: WeightMatrix,
  moments: Float64Array | undefined,
  format: BlockFormat,
  order: InputOrder = 'activation',
): BlockWeights {
  const nearest = roundToNearest(matrix, format)
  if (!moments?.some((moment) => moment !== 0)) return nearest
  const { rows, columns, values } = matrix
  const taken = columnsIn(order, moments, columns)
  const factor = sweepFactor(sorted(moments, taken), columns, damping)
  const codes = nearest.codes.slice()
  const before = dequantized(nearest)
  const change = new Float64Array(columns)
  for (let row = 0; row < rows; row++) {
    const start = row * columns
    for (const [place, column] of taken.entries()) {
      const own = place * columns
      let carried = 0
      for (let earlier = 0; earlier < place; earlier++)
        carried += factor[own + earlier]! * change[taken[earlier]!]!
      const weight = values[start + column]!
      const at = row * nearest.blocks + Math.floor(column / nearest.block)
      const quantization = quantizationAt(nearest, at)
      const code = codeOf(weight - carried / factor[own + place]!, quantization)
      codes[start + column] = code
      change[column] = Math.fround((code - quantization.zeroPoint) * quantization.scale) - weight
    }
    const alone = { rows: 1, columns }
    const error = outputError(alone, moments, (column) => change[column]!)
    const plain = outputError(
      alone,
      moments,
      (column) => before[start + column]! - values[start + column]!,
    )
    if (error >= plain) codes.set(nearest.codes.subarray(start, start + columns), start)
  }
  return { ...nearest, codes }
}

/** The columns in the order in which they are rounded; equal ones as they lie. */
function columnsIn(order: InputOrder, moments: Float64Array, columns: number): readonly number[] {
  const all = Array.from({ length: columns }, (_, column) => column)
  if (order === 'stored') return all
  const square = (column: number) => moments[column * columns + column]!
  return all.sort((one, other) => square(other) - square(one))
}

/** H with rows and columns in an order. */
function sorted(moments: Float64Array, order: readonly number[]): Float64Array {
  const { length } = order
  const result = new Float64Array(moments.length)
  for (const [row, from] of order.entries())
    for (const [column, other] of order.entries())
      result[row * length + column] = moments[from * length + other]!
  return result
}
