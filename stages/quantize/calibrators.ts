// How the range of an activation is chosen from what it was on the calibration samples. A calibrator is a pure fold over
// batches; its state does not grow with the number of samples.
import type { Range } from './arithmetic.ts'
import { emptyHistogram, extend, type Histogram, observe, smallestDivergence } from './histogram.ts'

/** Options of the calibrators. */
export interface CalibratorOptions {
  /** Share of the values that the range of `percentile` holds, 0..1. */
  readonly share: number
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

/** Cuts where the distribution of the quantized values is nearest to that of the values (Migacz, GTC 2017). */
const entropy: Calibrator<Histogram> = {
  extremesSuffice: false,
  start: emptyHistogram,
  observe,
  range(histogram) {
    const { min, max } = histogram
    // What has no sign has all the levels on one side.
    const limit = smallestDivergence(histogram, min >= 0 || max <= 0 ? 255 : 128)
    return { min: Math.max(min, -limit), max: Math.min(max, limit) }
  },
}

/** All calibrators, by the name that recipes use. */
export const calibrators = { minmax, percentile, entropy } as const

/** The name of a calibrator. */
export type CalibratorName = keyof typeof calibrators
