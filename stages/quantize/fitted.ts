// Where the distribution calibrator cuts: a normal or a Laplace distribution is fitted to the values, and its best limit
// for the number of levels is known. Banner, Nahshan and Soudry, "Post training 4-bit quantization of convolutional
// networks for rapid-deployment" (2019), section 3.
import type { Range } from './arithmetic.ts'
import { countsWithoutZeros, type Histogram } from './histogram.ts'

/** A symmetric distribution of which the scale is to be found. */
interface Family {
  /** E|x| / sqrt(E x²), by which the family is told. */
  readonly ratio: number
  /** The scale that goes with E|x| = 1. */
  readonly scale: number
  /** E max(|x| - t, 0) at scale 1: minus half of the derivative of the squared error of clipping at t. */
  readonly beyond: (t: number) => number
}

const families: Readonly<Record<'normal' | 'laplace', Family>> = {
  normal: { ratio: Math.sqrt(2 / Math.PI), scale: Math.sqrt(Math.PI / 2), beyond: beyondNormal },
  laplace: { ratio: Math.SQRT1_2, scale: 1, beyond: (t) => Math.exp(-t) },
}

/** 2 ∫ (x - t) φ(x) dx from t on, by Simpson's rule: a closed form loses all digits where t is large. */
function beyondNormal(t: number): number {
  const [pieces, length] = [200, 10]
  let sum = 0
  for (let index = 0; index <= pieces; index++) {
    const distance = (length * index) / pieces
    const weight = index === 0 || index === pieces ? 1 : index % 2 === 1 ? 4 : 2
    sum += weight * distance * Math.exp(-((t + distance) ** 2) / 2)
  }
  return (2 * sum * length) / pieces / 3 / Math.sqrt(2 * Math.PI)
}

/**
 * The limit in units of the family's scale at which the expected squared error of `levels` steps is least.
 *
 * The error is that of rounding, step²/12 with the step 2t / levels (t / levels where all values have one sign), and
 * that of clipping; the derivative of their sum grows with t, so its zero is bracketed.
 */
function bestLimit({ beyond }: Family, levels: number, oneSided: boolean): number {
  const rounding = (oneSided ? 1 : 4) / (12 * levels ** 2)
  let [low, high] = [0, 100]
  while (high - low > 1e-6) {
    const middle = (low + high) / 2
    if (rounding * middle < beyond(middle)) low = middle
    else high = middle
  }
  return low
}

/** The range of the distribution that fits the values, within what they were. */
export function fittedRange(histogram: Histogram, levels: number, symmetric: boolean): Range {
  const { min, max, width } = histogram
  const counts = countsWithoutZeros(histogram)
  const middleOf = (index: number) => (index + 0.5 - counts.length / 2) * width
  const mean = (of: (value: number) => number): number => {
    let [sum, count] = [0, 0]
    for (const [index, own] of counts.entries()) {
      if (own === 0) continue
      sum += own * of(middleOf(index))
      count += own
    }
    return count === 0 ? 0 : sum / count
  }
  // Values of one sign are taken for half of a distribution around 0.
  const oneSided = min >= 0 || max <= 0
  const centre = oneSided || symmetric ? 0 : mean((value) => value)
  const deviation = mean((value) => Math.abs(value - centre))
  const square = mean((value) => (value - centre) ** 2)
  if (square === 0) return { min, max }
  const ratio = deviation / Math.sqrt(square)
  const [family] = Object.values(families).sort(
    (a, b) => Math.abs(a.ratio - ratio) - Math.abs(b.ratio - ratio),
  )
  const { scale } = family!
  const limit = deviation * scale * bestLimit(family!, levels, oneSided && !symmetric)
  return { min: Math.max(min, centre - limit), max: Math.min(max, centre + limit) }
}
