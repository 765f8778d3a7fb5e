// Intervals, tests of difference, divergences and calibration of classifiers: pure maths that several layers need.

/** A lower and an upper bound, in the unit of the value they enclose. */
export type Interval = readonly [low: number, high: number]

/**
 * The interval that encloses a proportion with 95 % confidence (Wilson 1927).
 *
 * Both ends lie in 0..1; no trials say nothing, so the interval is then [0, 1].
 */
export function wilsonInterval(successes: number, trials: number): Interval {
  if (trials === 0) return [0, 1]
  const z = 1.959963984540054 // the 97.5 % quantile of the normal distribution
  const share = successes / trials
  const scale = 1 + (z * z) / trials
  const centre = (share + (z * z) / (2 * trials)) / scale
  const spread =
    (z / scale) * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials))
  // At the ends the formula gives 0 and 1 exactly; floating point does not.
  return [
    successes === 0 ? 0 : Math.max(0, centre - spread),
    successes === trials ? 1 : Math.min(1, centre + spread),
  ]
}

/**
 * The probability of so unequal a disagreement if two models were equally good: McNemar's exact two-sided test.
 *
 * The arguments count the samples that only the first and only the second model got right; the binomial tail
 * (McNemar 1947, exact form) is summed in log space, so that no count overflows it.
 */
export function mcnemarExact(onlyFirst: number, onlySecond: number): number {
  const trials = onlyFirst + onlySecond
  const tail = Math.min(onlyFirst, onlySecond)
  let logTerm = -trials * Math.LN2 // log C(n, 0) / 2^n
  let logSum = logTerm
  for (let k = 0; k < tail; k++) {
    logTerm += Math.log(trials - k) - Math.log(k + 1)
    const larger = Math.max(logSum, logTerm)
    logSum = larger + Math.log(Math.exp(logSum - larger) + Math.exp(logTerm - larger))
  }
  return Math.min(1, 2 * Math.exp(logSum))
}

/** The logarithms of the probabilities of one row of logits, in float64. */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  let largest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < logits.length; i++) largest = Math.max(largest, logits[i]!)
  let sum = 0
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - largest)
  const shift = largest + Math.log(sum)
  const logarithms = new Float64Array(logits.length)
  for (let i = 0; i < logits.length; i++) logarithms[i] = logits[i]! - shift
  return logarithms
}

/** The probabilities of one row of logits, in float64. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  return logSoftmax(logits).map(Math.exp)
}

/**
 * KL(teacher ‖ student) of two rows of logits, in nats, at temperature 1 (Kullback and Leibler 1951).
 *
 * The rows are equally long; the result is at least 0.
 */
export function klDivergence(
  teacherLogits: ArrayLike<number>,
  studentLogits: ArrayLike<number>,
): number {
  const teacher = logSoftmax(teacherLogits)
  const student = logSoftmax(studentLogits)
  let sum = 0
  for (let i = 0; i < teacher.length; i++) {
    // A class without probability adds nothing: p log p goes to 0 with p.
    const probability = Math.exp(teacher[i]!)
    if (probability > 0) sum += probability * (teacher[i]! - student[i]!)
  }
  return Math.max(0, sum)
}

/** How far confidence and accuracy lie apart, gathered sample by sample. */
export interface Calibration {
  /** Adds a decision: the probability of what was chosen, 0..1, and whether that was right. */
  add(confidence: number, correct: number | boolean): void
  /**
   * The expected calibration error, 0..1 (Guo et al. 2017, eq. 3): not a number where a confidence is none.
   */
  error(): number
  /** What was added to each bin: how many, and the means of confidence and of being right, null where there are none. */
  bins(): readonly ConfidenceBin[]
}

/** Decisions of similar confidence. */
export interface ConfidenceBin {
  readonly count: number
  readonly confidence: number | null
  readonly accuracy: number | null
}

/** Starts to gather confidences in bins that are equally wide, each including its upper bound. */
export function calibration(bins = 15): Calibration {
  // The gap of a bin, weighted by its share of the samples, is |Σ correct − Σ confidence| / N.
  const gaps = new Float64Array(bins)
  const counts = new Float64Array(bins)
  const right = new Float64Array(bins)
  let count = 0
  return {
    add(confidence, correct) {
      const place = Math.min(bins - 1, Math.max(0, Math.ceil(confidence * bins) - 1))
      // What is not a number has no bin of its own, and makes the error none.
      const bin = Number.isNaN(place) ? 0 : place
      gaps[bin]! += Number(correct) - confidence
      counts[bin]!++
      right[bin]! += Number(correct)
      count++
    },
    error: () => gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / Math.max(1, count),
    bins: () =>
      Array.from(counts, (of, bin) => ({
        count: of,
        confidence: of > 0 ? (right[bin]! - gaps[bin]!) / of : null,
        accuracy: of > 0 ? right[bin]! / of : null,
      })),
  }
}
