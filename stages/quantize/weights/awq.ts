// AWQ: Lin, Tang, Tang, Yang, Dang and Han, "AWQ: Activation-aware weight quantization" (2023), equations 4 and 5.
import type { QuantizedLayer, WeightLayer } from './algorithms.ts'
import { type BlockFormat, dequantized, roundToNearest } from './blocks.ts'
import { outputError } from './errors.ts'

/** The exponents that are tried are multiples of 1 / steps. */
const steps = 20

/** Multiplications that looking at one exponent may take: of larger layers only some outputs are looked at. */
const bearable = 2e8

/**
 * Multiplies weights by s = m^α before they are rounded, m being the magnitude of the input channel, and has the inputs
 * divided by it; α in 0..1 is the one with the least error of the outputs, 0 being plain rounding.
 *
 * m is the root of the mean square of a channel, which H has on its diagonal (the paper takes the mean magnitude).
 */
export function awq(layer: WeightLayer, format: BlockFormat): QuantizedLayer {
  const { matrices, moments } = layer
  const plain = matrices.map((matrix) => roundToNearest(matrix, format))
  const magnitudes = moments && magnitudesOf(layer, moments)
  if (!moments || !magnitudes) return { weights: plain }
  const errorFor = ({ weights, inputScales }: QuantizedLayer): number =>
    matrices.reduce((sum, matrix, group) => {
      const { rows, columns, values } = matrix
      const rounded = dequantized(weights[group]!)
      const step = Math.max(1, Math.ceil((rows * columns ** 2) / bearable))
      const change = (at: number) => {
        const scale = inputScales?.[layer.channelOf(group, at % columns)] ?? 1
        return rounded[at]! / scale - values[at]!
      }
      return sum + outputError(matrix, moments[group]!, change, step)
    }, 0)
  let best: QuantizedLayer = { weights: plain }
  let least = errorFor(best)
  for (let step = 1; step <= steps; step++) {
    const candidate = scaledBy(layer, scalesFor(magnitudes, step / steps), format)
    const error = errorFor(candidate)
    if (error < least) [best, least] = [candidate, error]
  }
  return best
}

/** Root sums of squares of the channels; undefined where nothing flows. */
function magnitudesOf(
  { matrices, channels, channelOf }: WeightLayer,
  moments: readonly Float64Array[],
): Float64Array | undefined {
  const sums = new Float64Array(channels)
  for (const [group, { columns }] of matrices.entries())
    for (let column = 0; column < columns; column++)
      sums[channelOf(group, column)]! += moments[group]![column * columns + column]!
  return sums.some((sum) => sum > 0) ? sums.map(Math.sqrt) : undefined
}

/** m^α, around 1 in the geometric middle of the least and the largest; channels that are always zero stay as they are. */
function scalesFor(magnitudes: Float64Array, exponent: number): Float32Array {
  const alive = magnitudes.filter((value) => value > 0).map((value) => value ** exponent)
  let [least, largest] = [Infinity, 0]
  for (const value of alive) {
    least = Math.min(least, value)
    largest = Math.max(largest, value)
  }
  // The paper's code has the same floor: what hardly ever flows must not blow the others up.
  const middle = Math.sqrt(largest * Math.max(least, largest * 1e-4))
  return Float32Array.from(magnitudes, (value) =>
    value > 0 ? Math.max(value ** exponent / middle, 1e-4) : 1,
  )
}

function scaledBy(
  { matrices, channelOf }: WeightLayer,
  inputScales: Float32Array,
  format: BlockFormat,
): QuantizedLayer {
  const weights = matrices.map(({ rows, columns, values }, group) => {
    const scaled = values.map((value, at) => value * inputScales[channelOf(group, at % columns)]!)
    return roundToNearest({ rows, columns, values: scaled }, format)
  })
  return { weights, inputScales }
}
