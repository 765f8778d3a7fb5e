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

/**
 * Rounds column after column, each to what makes up best for the errors of those before.
 *
 * With H = Lᵀ L, L lower triangular, δᵀ H δ is Σⱼ (Σᵢ≤ⱼ Lⱼᵢ δᵢ)²: the update of the paper is to choose each δⱼ such that
 * its own term is as small as the grid allows. Scales are those of rounding to nearest (the paper's static groups); a
 * row that would come out worse than by that keeps it.
 */
export function gptq(
  matrix: WeightMatrix,
  moments: Float64Array | undefined,
  format: BlockFormat,
): BlockWeights {
  const nearest = roundToNearest(matrix, format)
  if (!moments?.some((moment) => moment !== 0)) return nearest
  const { rows, columns, values } = matrix
  const factor = sweepFactor(moments, columns, damping)
  const codes = nearest.codes.slice()
  const before = dequantized(nearest)
  const change = new Float64Array(columns)
  for (let row = 0; row < rows; row++) {
    const start = row * columns
    for (let column = 0; column < columns; column++) {
      const own = column * columns
      let carried = 0
      for (let earlier = 0; earlier < column; earlier++)
        carried += factor[own + earlier]! * change[earlier]!
      const weight = values[start + column]!
      const at = row * nearest.blocks + Math.floor(column / nearest.block)
      const quantization = quantizationAt(nearest, at)
      const code = codeOf(weight - carried / factor[own + column]!, quantization)
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
