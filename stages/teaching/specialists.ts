// Specialists beside a generalist (Hinton, Vinyals and Dean 2015, section 5.3): the distribution that agrees best with
// what the generalist says of all classes and each specialist of its own and of all others together.
import { softmax } from '../../base/statistics.ts'

/** What a specialist believes of a sample. */
export interface Opinion {
  /** The probability of each of its classes, by class; undefined for classes that it does not know. */
  readonly known: readonly (number | undefined)[]
  /** The probability of all classes that it does not know. */
  readonly rest: number
}

/** The places of the specialists that know one of the classes that the generalist finds likeliest. */
export function activeAmong(
  specialists: readonly ReadonlySet<number>[],
  general: ArrayLike<number>,
  top: number,
): number[] {
  const order = Array.from({ length: general.length }, (_, index) => index)
  // Sorting keeps equal ones in order.
  const likeliest = order.sort((a, b) => general[b]! - general[a]!).slice(0, top)
  return [...specialists.keys()].filter((place) =>
    likeliest.some((index) => specialists[place]!.has(index)),
  )
}

/**
 * Reads what a specialist believes off its logits: those of all classes, of which the ones outside its own are summed
 * up, or, where it sums up itself, those of its own classes and of all others together last.
 */
export function opinionOf(
  logits: ArrayLike<number>,
  own: readonly number[],
  classes: number,
  sumsUp: boolean,
): Opinion {
  const probabilities = softmax(logits)
  const known = new Array<number | undefined>(classes).fill(undefined)
  for (const [place, index] of own.entries()) known[index] = probabilities[sumsUp ? place : index]!
  const sum = own.reduce((all, index) => all + known[index]!, 0)
  return { known, rest: sumsUp ? probabilities[own.length]! : Math.max(0, 1 - sum) }
}

/** Steps after which the distribution is taken as it is. */
const mostSteps = 200

/**
 * The distribution q that minimises KL(general ‖ q) + Σ KL(opinion ‖ q), where q counts for an opinion as its
 * probabilities of the known classes and the sum of all others (equation 5).
 *
 * The gradient by the logits of q is (1 + specialists) q - r, where r adds up what everyone believes, the rest of an
 * opinion shared out as q has it. Each step goes to where the gradient would be zero if r stayed as it is (the
 * expectation-maximisation of Dempster, Laird and Rubin 1977): the sum never grows, q stays a distribution, and there
 * is no step size to choose. What has no probability for anyone has 1e-30.
 */
export function agreedOn(general: Float64Array, opinions: readonly Opinion[]): Float64Array {
  let q = general
  for (let step = 0; step < mostSteps; step++) {
    const believed = Float64Array.from(general)
    for (const { known, rest } of opinions) {
      const outside = q.reduce(
        (sum, value, index) => sum + (known[index] === undefined ? value : 0),
        0,
      )
      for (let index = 0; index < believed.length; index++)
        believed[index]! += known[index] ?? (outside > 0 ? (rest * q[index]!) / outside : 0)
    }
    const total = believed.reduce((sum, value) => sum + value, 0)
    const next = believed.map((value) => value / total)
    const change = next.reduce(
      (most, value, index) => Math.max(most, Math.abs(value - q[index]!)),
      0,
    )
    q = next
    if (change < 1e-9) break
  }
  return q.map((value) => Math.max(value, 1e-30))
}
