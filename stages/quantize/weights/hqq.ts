// HQQ: Badri and Shaji, "Half-quadratic quantization of large machine learning models" (2023).
import { limits } from '../arithmetic.ts'
import {
  type BlockFormat,
  type BlockWeights,
  blocksOf,
  codeOf,
  integerTypes,
  quantizationAt,
  roundToNearest,
  setBlock,
  type WeightMatrix,
} from './blocks.ts'

/** The settings of the authors: |error|^p is minimised, β grows by κ from step to step. */
const settings = { p: 0.7, beta: 10, kappa: 1.01, iterations: 20 } as const

/**
 * Chooses scale and zero point of each block such that Σ |w - ŵ|^p is small, p < 1: outliers may keep large errors.
 *
 * The half-quadratic steps are the paper's: e shrinks w - ŵ (equation 4), then the zero point is the mean of
 * q - (w - e) / s (equation 5). ONNX's zero points are whole, so that each is rounded, and the scale then fitted to
 * what remains; the best step is kept, and rounding to nearest where none is better.
 */
export function hqq(matrix: WeightMatrix, format: BlockFormat): BlockWeights {
  const result = roundToNearest(matrix, format)
  for (const { at, start, end } of blocksOf(matrix, format.block)) {
    const weights = matrix.values.subarray(start, end)
    const found = searched(weights, quantizationAt(result, at))
    setBlock(result, at, start, weights, { dtype: integerTypes[format.bits], ...found })
  }
  return result
}

interface Grid {
  readonly scale: number
  readonly zeroPoint: number
}

/** Σ |w - ŵ|^p */
export function shrinkingError(weights: Float32Array, rounded: (at: number) => number): number {
  let sum = 0
  for (let at = 0; at < weights.length; at++)
    sum += Math.abs(weights[at]! - rounded(at)) ** settings.p
  return sum
}

function searched(weights: Float32Array, start: ReturnType<typeof quantizationAt>): Grid {
  const { dtype } = start
  const [lowest, highest] = limits[dtype]
  let grid: Grid = start
  let best: Grid = start
  let { beta } = settings as { beta: number }
  const errorOf = ({ scale, zeroPoint }: Grid) =>
    shrinkingError(
      weights,
      (at) => (codeOf(weights[at]!, { dtype, scale, zeroPoint }) - zeroPoint) * scale,
    )
  let least = errorOf(start)
  for (let iteration = 0; iteration < settings.iterations; iteration++) {
    const { scale, zeroPoint } = grid
    const codes = Float64Array.from(weights, (weight) => codeOf(weight, { dtype, ...grid }))
    // What is left of each weight when errors that are large stay errors.
    const kept = Float64Array.from(weights, (weight, at) => {
      const error = weight - (codes[at]! - zeroPoint) * scale
      return weight - shrunk(error, beta)
    })
    const mean = codes.reduce((sum, code, at) => sum + code - kept[at]! / scale, 0) / codes.length
    const zero = Math.min(highest, Math.max(lowest, Math.round(mean)))
    grid = { zeroPoint: zero, scale: fittedScale(codes, zero, kept) ?? scale }
    const error = errorOf(grid)
    if (error < least) [best, least] = [grid, error]
    beta *= settings.kappa
  }
  return best
}

/** The generalised soft threshold: sign(x) · max(0, |x| - |x|^(p-1) / β). */
function shrunk(error: number, beta: number): number {
  const size = Math.abs(error)
  return size === 0 ? 0 : Math.sign(error) * Math.max(0, size - size ** (settings.p - 1) / beta)
}

/** The scale with the least squares of (q - z) s - w; undefined where there is none. */
function fittedScale(
  codes: Float64Array,
  zeroPoint: number,
  weights: Float64Array,
): number | undefined {
  let [product, square] = [0, 0]
  for (let at = 0; at < codes.length; at++) {
    const step = codes[at]! - zeroPoint
    product += step * weights[at]!
    square += step ** 2
  }
  const scale = Math.fround(product / square)
  return scale >= 2 ** -126 && Number.isFinite(scale) ? scale : undefined
}
