// What step sizes of weights begin with.
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import type { Spread } from '../../../train/fake-quantize.ts'
import { roundHalfEven } from '../arithmetic.ts'

/** Shares of the largest magnitude that are tried as the end of the range. */
const tried = 40

/**
 * The steps, one a channel or a single one, of which integers up to ±`highest` change the weights least, as a sum of
 * squares (Bhalgat et al. 2020, equation 8). A channel of zeros has the step 1.
 */
export function leastErrorSteps(
  weights: Float32Array,
  { dims, axis }: Spread,
  highest: number,
): Tensor {
  const channels = axis === undefined ? 1 : dims[axis]!
  const inner =
    axis === undefined ? weights.length : dims.slice(axis + 1).reduce((a, b) => a * b, 1)
  const rows: number[][] = Array.from({ length: channels }, () => [])
  for (const [index, weight] of weights.entries())
    rows[Math.floor(index / Math.max(1, inner)) % channels]!.push(weight)
  const steps = rows.map((row) => leastErrorStep(row, highest))
  return tensorOf('float32', axis === undefined ? [] : [channels], steps)
}

function leastErrorStep(row: readonly number[], highest: number): number {
  const largest = row.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0)
  if (largest === 0) return 1
  let best = { step: largest / highest, error: Infinity }
  for (let share = tried; share >= 1; share--) {
    const step = (largest * share) / tried / highest
    let error = 0
    for (const weight of row) {
      const level = Math.min(highest, Math.max(-highest, roundHalfEven(weight / step)))
      error += (weight - level * step) ** 2
    }
    if (error < best.error) best = { step, error }
  }
  return best.step
}
