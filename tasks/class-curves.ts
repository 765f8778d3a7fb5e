// Figures of scores over all thresholds, class by class: what needs the scores of all samples at once.
import { areaUnderCurve, averagePrecision, separated } from '../base/ranks.ts'

/** The most scores that are held at a time, 8 bytes each; classes beyond are another pass over the samples. */
const mostScores = 2 ** 20

/** Area under the ROC curve and average precision of each class; null where a class, or its opposite, is absent. */
export interface ClassCurves {
  readonly auc: (number | null)[]
  readonly averagePrecision: (number | null)[]
}

/**
 * Compares the scores of each class with who belongs to it.
 *
 * `write` gives the scores and the truth (1, 0, or -1 where a sample does not count) of `count` classes from `first` on
 * for one sample. A score that is not a number is taken for the worst: lowest for who belongs, highest for who does not.
 */
export function classCurves(
  size: number,
  classes: number,
  write: (sample: number, first: number, scores: Float64Array, truth: Int8Array) => void,
): ClassCurves {
  const auc: (number | null)[] = []
  const precision: (number | null)[] = []
  const atOnce = Math.max(1, Math.min(classes, Math.floor(mostScores / Math.max(1, size))))
  const scores = Array.from({ length: atOnce }, () => new Float64Array(size))
  const truths = Array.from({ length: atOnce }, () => new Int8Array(size))
  for (let first = 0; first < classes; first += atOnce) {
    const count = Math.min(atOnce, classes - first)
    const row = { scores: new Float64Array(count), truth: new Int8Array(count) }
    for (let sample = 0; sample < size; sample++) {
      write(sample, first, row.scores, row.truth)
      for (let i = 0; i < count; i++) {
        const [score, truth] = [row.scores[i]!, row.truth[i]!]
        scores[i]![sample] = Number.isNaN(score) ? (truth > 0 ? -Infinity : Infinity) : score
        truths[i]![sample] = truth
      }
    }
    for (let i = 0; i < count; i++) {
      const found = separated(scores[i]!, truths[i]!)
      auc.push(areaUnderCurve(found))
      precision.push(averagePrecision(found))
    }
  }
  return { auc, averagePrecision: precision }
}
