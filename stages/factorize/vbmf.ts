// How many singular values of a matrix are more than noise, by variational Bayes: Nakajima, Sugiyama, Babacan and
// Tomioka 2013, "Global analytic solution of fully-observed variational Bayesian matrix factorization".

/** Where the simplified threshold of the paper lies (its equation 30): 2.5129 · √α. */
const thresholdFactor = 2.5129

/**
 * The rank of a matrix's empirical variational Bayes estimate, 1 at least; noise variance and priors are estimated as
 * well.
 *
 * `singular` are all singular values of a `rows` × `columns` matrix, largest first.
 */
export function significantRank(singular: Float64Array, rows: number, columns: number): number {
  const [short, long] = rows <= columns ? [rows, columns] : [columns, rows]
  const squares = singular.map((value) => value ** 2)
  const total = squares.reduce((sum, square) => sum + square, 0)
  if (total === 0) return 1
  const alpha = short / long
  const tau = thresholdFactor * Math.sqrt(alpha)
  // A component is kept where its square is beyond this many noise variances times the longer side.
  const threshold = (1 + tau) * (1 + alpha / tau)
  const variance = noiseVariance(squares, { short, long, alpha, threshold, total })
  const kept = squares.filter((square) => square > long * variance * threshold).length
  return Math.max(1, kept)
}

/** Minimises the free energy over the noise variance between the bounds of the paper's theorem 3. */
function noiseVariance(
  squares: Float64Array,
  { short, long, alpha, threshold, total }: Sizes,
): number {
  const most = Math.max(1, Math.min(Math.ceil(short / (1 + alpha)) - 1, squares.length - 1))
  const rest = squares.subarray(most)
  const meanRest = rest.reduce((sum, square) => sum + square, 0) / Math.max(1, rest.length)
  const upper = total / (short * long)
  const lower = Math.max((squares[most] ?? 0) / (long * threshold), meanRest / long, upper * 1e-12)
  if (lower >= upper) return upper
  const floor = upper * 1e-12
  const energy = (variance: number): number => {
    let sum = (short - squares.length) * Math.log(variance)
    for (const square of squares) {
      const x = Math.max(square, floor) / (long * variance)
      if (x <= threshold) {
        sum += x - Math.log(x)
        continue
      }
      const spread = x - (1 + alpha)
      const tau = 0.5 * (spread + Math.sqrt(Math.max(0, spread ** 2 - 4 * alpha)))
      sum += x - tau + Math.log((tau + 1) / x) + alpha * Math.log(tau / alpha + 1)
    }
    return sum
  }
  return minimum(energy, lower, upper)
}

interface Sizes {
  readonly short: number
  readonly long: number
  readonly alpha: number
  readonly threshold: number
  readonly total: number
}

/** Where a function is least between two bounds: the best of a grid of equal ratios, then golden sections around it. */
function minimum(of: (x: number) => number, lower: number, upper: number): number {
  const points = 64
  const at = (index: number) => lower * (upper / lower) ** (index / points)
  const costs = Array.from({ length: points + 1 }, (_, index) => of(at(index)))
  const best = costs.indexOf(Math.min(...costs))
  let [left, right] = [at(Math.max(0, best - 1)), at(Math.min(points, best + 1))]
  const golden = (Math.sqrt(5) - 1) / 2
  for (let step = 0; step < 60; step++) {
    const [one, other] = [right - golden * (right - left), left + golden * (right - left)]
    if (of(one) < of(other)) right = other
    else left = one
  }
  return (left + right) / 2
}
