// Whether a classifier's confidence can be believed: how often it is right where it is so sure, and the Brier score.
import { calibration, softmax } from '../../base/statistics.ts'
import { allFinite, largest } from '../../tasks/predictions.ts'
import type { Predictions, Truth } from '../../tasks/task.ts'
import type { Knowledge } from '../report/report.ts'

/** What is known of a classifier's confidence. */
export type Reliability = NonNullable<Knowledge['calibration']>

/**
 * Gathers confidences in 15 bins that are equally wide (Guo et al. 2017, section 2) and the mean of Σ (p − y)² over the classes
 * (Brier 1950), 0..2. Null where an output is not finite.
 */
export function reliabilityOf(model: Predictions, { labels, size }: Truth): Reliability | null {
  const confidences = calibration(15)
  let squares = 0
  for (let index = 0; index < size; index++) {
    const row = model.row(index)
    const decision = largest(row)
    const label = labels[index]!
    if (decision < 0) return null
    const probabilities = softmax(row)
    if (!allFinite(probabilities)) return null
    confidences.add(probabilities[decision]!, decision === label)
    for (let i = 0; i < probabilities.length; i++)
      squares += (probabilities[i]! - Number(i === label)) ** 2
  }
  return { brier: squares / Math.max(1, size), bins: confidences.bins() }
}
