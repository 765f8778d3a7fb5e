// Another sampling rate by a windowed sinc, one filter for each phase.

/** Makes samples at one rate of samples at another. */
export interface Resampler {
  /** How many samples at the new rate a sound of so many samples has: ceil(samples * to / from). */
  lengthOf(samples: number): number
  /** The samples that are needed for so many new ones; parts of it may lie outside the sound, where it is silent. */
  spanOf(first: number, count: number): readonly [first: number, count: number]
  /** Writes new samples from number `first` on; `samples` begins with number `start` of the sound. */
  run(samples: Float64Array, start: number, first: number, into: Float64Array): void
}

interface Filter {
  /** The first sample that is heard, counted from where the phase's period begins. */
  readonly first: number
  readonly weights: Float64Array
}

const zeroCrossings = 6
const rolloff = 0.99
// More weights than this (2 MB) are made as they are needed.
const maximumWeights = 1 << 18

/**
 * Prepares resampling between two rates in Hz.
 *
 * With both rates divided by their greatest common divisor and b = 0.99 min(from, to), new sample j is
 * Σᵢ x[i] (b / from) sinc(πt) cos²(πt / 12) over |t| < 6, where t = b (i / from - j / to): the definition of
 * `torchaudio.functional.resample` with `sinc_interp_hann`, `lowpass_filter_width=6` and `rolloff=0.99` (after Smith,
 * "Digital Audio Resampling", 2002).
 */
export function resampler(fromHz: number, toHz: number): Resampler {
  if (fromHz === toHz) return unchanged
  const divisor = greatestCommonDivisor(fromHz, toHz)
  const [from, to] = [fromHz / divisor, toHz / divisor]
  const base = Math.min(from, to) * rolloff
  const reach = (zeroCrossings * from) / base

  const filterOf = (phase: number): Filter => {
    const centre = (phase * from) / to
    const first = Math.ceil(centre - reach)
    const weights = new Float64Array(Math.floor(centre + reach) - first + 1)
    for (let index = 0; index < weights.length; index++) {
      const t = base * ((first + index) / from - phase / to)
      const window = Math.cos((t * Math.PI) / zeroCrossings / 2) ** 2
      const sinc = t === 0 ? 1 : Math.sin(t * Math.PI) / (t * Math.PI)
      weights[index] = (sinc * window * base) / from
    }
    return { first, weights }
  }
  const isSmall = to * (2 * reach + 1) <= maximumWeights
  const filters = isSmall ? Array.from({ length: to }, (_, phase) => filterOf(phase)) : []

  return {
    lengthOf: (samples) => Math.ceil((samples * to) / from),
    spanOf(first, count) {
      const begin = Math.floor((first * from) / to - reach)
      return [begin, Math.ceil(((first + count) * from) / to + reach) - begin + 1]
    },
    run(samples, start, first, into) {
      for (let index = 0; index < into.length; index++) {
        const phase = (first + index) % to
        const filter = filters[phase] ?? filterOf(phase)
        const at = ((first + index - phase) / to) * from + filter.first - start
        const { weights } = filter
        const last = Math.min(weights.length, samples.length - at)
        let sum = 0
        for (let tap = Math.max(0, -at); tap < last; tap++)
          sum += weights[tap]! * samples[at + tap]!
        into[index] = sum
      }
    },
  }
}

const unchanged: Resampler = {
  lengthOf: (samples) => samples,
  spanOf: (first, count) => [first, count],
  run(samples, start, first, into) {
    for (let index = 0; index < into.length; index++)
      into[index] = samples[first + index - start] ?? 0
  },
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
