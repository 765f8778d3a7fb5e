// Random numbers of the beta distribution, by which mixing draws its shares.
import type { Random } from '../base/random.ts'

/** A number from Beta(a, b), 0..1, as the share of one gamma variable in the sum of two. */
export function beta(random: Random, a: number, b: number): number {
  const [first, second] = [logGamma(random, a), logGamma(random, b)]
  // By logarithms: for small shapes both variables can be too small for a number.
  return 1 / (1 + Math.exp(second - first))
}

/** The logarithm of a number from Gamma(shape, 1) (Marsaglia and Tsang 2000). */
function logGamma(random: Random, shape: number): number {
  // Section 6: below 1, a variable of shape + 1 is brought down by a power of a uniform one.
  if (shape < 1) return logGamma(random, shape + 1) + Math.log(1 - random.uniform()) / shape
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = random.normal()
    const v = (1 + c * x) ** 3
    if (v <= 0) continue
    if (Math.log(1 - random.uniform()) < x ** 2 / 2 + d * (1 - v + Math.log(v)))
      return Math.log(d * v)
  }
}
