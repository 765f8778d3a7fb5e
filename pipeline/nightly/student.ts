// Student's t distribution (Student 1908), through the incomplete beta function.
import { gammaln } from 'simple-statistics'

/** Above so many degrees of freedom the distribution is the normal one to all digits that matter. */
const mostFreedom = 1e6

/**
 * The probability that a variable of Student's distribution is as far from 0 as `t`, or farther: 1 at 0.
 *
 * `freedom` is above 0 and need not be whole; infinity stands for the normal distribution. P = I_x(ν/2, 1/2) with
 * x = ν/(ν + t²) (Abramowitz and Stegun 1964, 26.7.1).
 */
export function studentP(t: number, freedom: number): number {
  const nu = Math.min(freedom, mostFreedom)
  if (!Number.isFinite(t)) return 0
  return incompleteBeta(nu / (nu + t * t), nu / 2, 0.5)
}

/** The `t` that only a share `p`, in (0, 1), of the variables is farther from 0 than, by bisection. */
export function studentQuantile(p: number, freedom: number): number {
  let high = 1
  while (studentP(high, freedom) > p) high *= 2
  let low = 0
  for (let step = 0; step < 80; step++) {
    const middle = (low + high) / 2
    if (studentP(middle, freedom) > p) low = middle
    else high = middle
  }
  return high
}

/** I_x(a, b) by its continued fraction (DLMF 8.17.22), on the side on which that is quick. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const scale = Math.exp(
    a * Math.log(x) + b * Math.log1p(-x) - gammaln(a) - gammaln(b) + gammaln(a + b),
  )
  // Lentz (1976): numerator and denominator side by side, none of them ever 0.
  const tiny = 1e-300
  const safe = (value: number) => (Math.abs(value) < tiny ? tiny : value)
  let c = 1
  let d = 1 / safe(1 - ((a + b) * x) / (a + 1))
  let fraction = d
  for (let m = 1; m < 100_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / safe(1 + even * d)
    c = safe(1 + even / c)
    fraction *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / safe(1 + odd * d)
    c = safe(1 + odd / c)
    fraction *= d * c
    if (Math.abs(d * c - 1) < 1e-14) break
  }
  return (scale * fraction) / a
}
