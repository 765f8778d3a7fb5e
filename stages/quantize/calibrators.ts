// How the range of an activation is chosen from what it was on the calibration samples. A calibrator is a pure fold over
// batches; its state does not grow with the number of samples.
import type { Range } from './arithmetic.ts'
import { smallestDivergence } from './divergence.ts'
import { fittedRange } from './fitted.ts'
import { emptyHistogram, extend, type Histogram, observe } from './histogram.ts'
import { leastSquaredError } from './squared-error.ts'

/** Options of the calibrators. */
export interface CalibratorOptions {
  /** Share of the values that the range of `percentile` holds, 0..1. */
  readonly share: number
  /** How many integers the activations have: 256 unless told. */
  readonly levels?: number
  /** True where zero has to be in the middle of them. */
  readonly symmetric?: boolean
}

/** A fold from the values of one activation, batch after batch, to its range. */
export interface Calibrator<State> {
  /** True when the extremes of each batch are all that it needs; they are then reduced inside the graph. */
  readonly extremesSuffice: boolean
  start(): State
  /** Takes in one batch and gives the state after it; the state before is used up. */
  observe(state: State, values: Float32Array): State
  range(state: State, options: CalibratorOptions): Range
}

const minmax: Calibrator<Range> = {
  extremesSuffice: true,
  start: () => ({ min: Infinity, max: -Infinity }),
  observe: extend,
  range: (state) => state,
}

/** Extremes that move, and how many batches they are made of. */
interface Moving extends Range {
  readonly batches: number
}

/** What a batch counts for in a moving average at least. */
const smoothing = 0.01

/**
 * The mean extremes of the batches, of which those long ago are forgotten: an exponential moving average that begins as
 * a plain mean, for one that begins with the first batch would stay there. (Jacob et al. 2018, section 3.1.)
 */
const movingAverage: Calibrator<Moving> = {
  extremesSuffice: true,
  start: () => ({ min: 0, max: 0, batches: 0 }),
  observe(state, values) {
    if (values.length === 0) return state
    const own = extend({ min: Infinity, max: -Infinity }, values)
    const batches = state.batches + 1
    const weight = Math.max(smoothing, 1 / batches)
    return {
      min: state.min + weight * (own.min - state.min),
      max: state.max + weight * (own.max - state.max),
      batches,
    }
  },
  range: ({ min, max }) => ({ min, max }),
}

const percentile: Calibrator<Histogram> = {
  extremesSuffice: false,
  start: emptyHistogram,
  observe,
  range({ bins, width, count, min, max }, { share }) {
    const half = bins.length / 2
    const outside = ((1 - share) / 2) * count
    let low = 0
    for (let seen = bins[0]!; seen <= outside && low < bins.length - 1; seen += bins[low]!) low++
    let high = bins.length - 1
    for (let seen = bins[high]!; seen <= outside && high > 0; seen += bins[high]!) high--
    return {
      min: Math.max(min, (low - half) * width),
      max: Math.min(max, (high + 1 - half) * width),
    }
  },
}

/** Cuts where the distribution of the quantized values is nearest to that of the values. */
const entropy: Calibrator<Histogram> = {
  extremesSuffice: false,
  start: emptyHistogram,
  observe,
  range(histogram, { levels = 256, symmetric = false }) {
    const { min, max } = histogram
    // What has no sign has all the levels on one side.
    const oneSided = (min >= 0 || max <= 0) && !symmetric
    const limit = smallestDivergence(histogram, oneSided ? levels - 1 : levels / 2)
    return { min: Math.max(min, -limit), max: Math.min(max, limit) }
  },
}

/** Cuts where the squared error of the quantized values is expected to be least. */
const mse: Calibrator<Histogram> = {
  extremesSuffice: false,
  start: emptyHistogram,
  observe,
  range: (histogram, { levels = 256, symmetric = false }) =>
    leastSquaredError(histogram, levels, symmetric),
}

/** Cuts where it is best for the normal or Laplace distribution that fits the values. */
const distribution: Calibrator<Histogram> = {
  extremesSuffice: false,
  start: emptyHistogram,
  observe,
  range: (histogram, { levels = 256, symmetric = false }) =>
    fittedRange(histogram, levels, symmetric),
}

/** All calibrators, by the name that recipes use. */
export const calibrators = {
  minmax,
  'moving-average': movingAverage,
  percentile,
  entropy,
  mse,
  distribution,
} as const

/** The name of a calibrator. */
export type CalibratorName = keyof typeof calibrators
