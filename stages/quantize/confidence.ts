// How sure a figure is that was measured on a few samples: leaving each out in turn shows how much it depends on them.

/** One-sided 95 % quantiles of Student's t with 1, 2, 3 and 4 degrees of freedom. */
const quantiles = [6.314, 2.92, 2.353, 2.132] as const

/** The same with any number of them; from 5 on by the expansion of Cornish and Fisher (1938), right to a hundredth. */
const quantileOf = (degrees: number): number =>
  quantiles[degrees - 1] ?? 1.645 + 1.524 / degrees + 1.42 / degrees ** 2

/**
 * The value that a figure has on samples like these with 95 % confidence, or more: the jackknife of Quenouille (1949) and
 * Tukey (1958).
 *
 * `without` has the figure with each part of the samples left out. One part says nothing, so the figure itself is given.
 */
export function sureOf(figure: number, without: readonly number[]): number {
  const count = without.length
  if (count < 2) return figure
  const mean = without.reduce((sum, value) => sum + value, 0) / count
  const squares = without.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return figure - quantileOf(count - 1) * Math.sqrt((squares * (count - 1)) / count)
}
