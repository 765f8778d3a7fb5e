// The strongest change of samples within a bound that a model's own gradients lead to: projected gradient descent (Madry et
// al. 2018, section 2.1), from a start at random, each step two and a half bounds over their number.
import { random } from '../../base/random.ts'
import type { Samples } from '../../base/samples.ts'
import type { Dataset } from '../../data/dataset.ts'
import { type PerValue, shifted } from './changes.ts'

/** How samples are attacked. */
export interface AttackPlan {
  readonly indices: Uint32Array
  readonly column: number
  /** The bound, in the unit of the column. */
  readonly size: PerValue
  readonly steps: number
  readonly seed: number
}

/** The gradient of the loss by the column for some samples, `[size, width]`. */
type GradientsOf = (samples: Samples) => Promise<Float32Array>

/** Finds what to add to the column of each sample, in bounds: `[indices.length, width]`, -1..1. */
export async function attack(
  data: Dataset,
  { indices, column, size, steps, seed }: AttackPlan,
  gradientsOf: GradientsOf,
): Promise<Float32Array> {
  const width = data.columns[column]!.shape.reduce((product, dim) => product * dim, 1)
  const found = new Float32Array(indices.length * width)
  const row = (at: number) => found.subarray(at * width, (at + 1) * width)
  for (const [at, index] of indices.entries()) {
    const { uniform } = random(seed, 'knowledge', 'attack', index)
    const start = row(at)
    for (let i = 0; i < width; i++) start[i] = 2 * uniform() - 1
  }
  const step = 2.5 / steps
  for (let done = 0; done < steps; done++) {
    const gradients = await gradientsOf(shifted(data, indices, { column, size, row }))
    for (let i = 0; i < found.length; i++) {
      const moved = found[i]! + step * (Math.sign(gradients[i]!) || 0)
      found[i] = Math.max(-1, Math.min(1, moved))
    }
  }
  return found
}
