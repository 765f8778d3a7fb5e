// How scores of one layer or group are made comparable with those of others.

/** Gives as many scores, in the same order of size, in another unit. */
type Normalise = (scores: Float64Array) => Float64Array

/** Divides by a number, or leaves the scores as they are where that is zero. */
const over = (scores: Float64Array, unit: number): Float64Array =>
  unit === 0 ? scores : scores.map((score) => score / unit)

const sumOf = (scores: Float64Array): number => scores.reduce((sum, score) => sum + score, 0)

const meanOf = (scores: Float64Array): number => sumOf(scores) / Math.max(1, scores.length)

/** The size of scores some of which may be negative. */
const sizes = (scores: Float64Array): Float64Array => scores.map(Math.abs)

const largest = (scores: Float64Array): number =>
  scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY)

const smallest = (scores: Float64Array): number =>
  scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY)

/** The normalisations by name. */
export const normalisations = {
  /** As they are. */
  none: (scores) => scores,
  /** Divided by their mean size. */
  mean: (scores) => over(scores, meanOf(sizes(scores))),
  /** Divided by the largest. */
  max: (scores) => over(scores, largest(sizes(scores))),
  /** Divided by their sum. */
  sum: (scores) => over(scores, sumOf(sizes(scores))),
  /** From 0, the smallest, to 1, the largest. */
  standard: (scores) => {
    const least = smallest(scores)
    return over(
      scores.map((score) => score - least),
      largest(scores) - least,
    )
  },
  /** Mean 0 and standard deviation 1. */
  gaussian: (scores) => {
    const mean = meanOf(scores)
    const centred = scores.map((score) => score - mean)
    return over(centred, Math.sqrt(meanOf(centred.map((score) => score ** 2))))
  },
  /** Each divided by the sum of itself and all that are not smaller (Lee et al. 2021, equation 3). */
  lamp: (scores) => {
    const order = Float64Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || b - a)
    const result = new Float64Array(scores.length)
    let sum = 0
    for (const index of order) {
      sum += scores[index]!
      result[index] = sum === 0 ? 0 : scores[index]! / sum
    }
    return result
  },
} as const satisfies Record<string, Normalise>

/** The name of a normalisation. */
export type NormaliseName = keyof typeof normalisations

/** All names, in the order of the table. */
export const normaliseNames = Object.keys(normalisations) as [NormaliseName, ...NormaliseName[]]
