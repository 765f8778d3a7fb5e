// Front ends: what is made of the samples of a sound before a model hears it, one row each.
import { UserError } from '../../base/errors.ts'
import { type Analysis, kaldiAnalysis, librosaAnalysis } from './analysis.ts'
import { cosineTransform, liftersOf } from './cepstrum.ts'
import { applyFilters, kaldiFilters, librosaFilters } from './mel.ts'
import type { FrontEndOptions } from './options.ts'

/** A front end made ready for sounds of one rate and length; its memory is set aside once. */
export interface FrontEnd {
  /** Frames of a sound; 1 for waveforms. */
  readonly frames: number
  /** Numbers of a frame: filters, coefficients, or all samples. */
  readonly width: number
  /** The numbers that share a mean when they are normalised: as many as `width`, or 1 for waveforms. */
  readonly bins: number
  /** Writes `[frames, width]`, row-major. */
  run(signal: Float64Array, into: Float64Array): void
}

type OptionsOf<Type> = Extract<FrontEndOptions, { type: Type }>

const frontEnds: {
  readonly [Type in FrontEndOptions['type']]: (
    options: OptionsOf<Type>,
    rate: number,
    length: number,
  ) => FrontEnd
} = {
  /** The samples themselves. */
  waveform: (_, _rate, length) => ({
    frames: 1,
    width: length,
    bins: 1,
    run: (signal, into) => into.set(signal),
  }),

  /** Logarithms of the powers that mel filters hear. */
  'log-mel': (options, rate, length) => {
    const { frames, bins, run } = logMel(options, rate, length)
    return { frames, width: bins, bins, run }
  },

  /** Mel-frequency cepstral coefficients: the cosine transform of the logarithms. */
  mfcc: (options, rate, length) => {
    const { bins, coefficients } = options
    if (coefficients > bins)
      throw new UserError(
        `audio.frontEnd.coefficients: more than filters: ${coefficients}, bins: ${bins} — lower coefficients or raise bins`,
      )
    const mel = logMel(options, rate, length)
    const transform = cosineTransform(coefficients, bins)
    const isKaldi = options.convention === 'kaldi'
    const lifters = liftersOf(coefficients, options.lifter, isKaldi ? 0 : 1)
    const withEnergy = options.convention === 'kaldi' && options.energy
    const logs = new Float64Array(mel.frames * bins)
    return {
      frames: mel.frames,
      width: coefficients,
      bins: coefficients,
      run(signal, into) {
        mel.run(signal, logs)
        for (let frame = 0; frame < mel.frames; frame++) {
          for (let k = 0; k < coefficients; k++) {
            let sum = 0
            for (let n = 0; n < bins; n++) sum += transform[k * bins + n]! * logs[frame * bins + n]!
            into[frame * coefficients + k] = sum * lifters[k]!
          }
          if (withEnergy) into[frame * coefficients] = mel.logEnergy(frame)
        }
      },
    }
  },
}

/** Prepares a front end; what does not fit together is a `UserError` that names the option. */
export function frontEnd(options: FrontEndOptions, rate: number, length: number): FrontEnd {
  // The row belongs to the options by its name, which the compiler cannot see.
  const row = frontEnds[options.type] as (typeof frontEnds)['waveform']
  return row(options as OptionsOf<'waveform'>, rate, length)
}

interface LogMel {
  readonly frames: number
  readonly bins: number
  run(signal: Float64Array, into: Float64Array): void
  /** Logarithm of a frame's energy, of the sound that was run last. */
  logEnergy(frame: number): number
}

type MelOptions = Exclude<FrontEndOptions, { type: 'waveform' }>

function logMel(options: MelOptions, rate: number, length: number): LogMel {
  const { bins, low, high = rate / 2, floor } = options
  if (high > rate / 2)
    throw new UserError(
      `audio.frontEnd.high: above half the rate: ${high} Hz, rate: ${rate} — lower it`,
    )
  if (low >= high)
    throw new UserError(
      `audio.frontEnd.low: not below the upper edge: ${low} Hz, high: ${high} — lower it`,
    )
  const analysis: Analysis =
    options.convention === 'kaldi'
      ? kaldiAnalysis(options, rate, length)
      : librosaAnalysis(options, rate, length)
  const { frames, points } = analysis
  const range = { rate, points, bins, low, high }
  const filters =
    options.convention === 'kaldi'
      ? kaldiFilters(range)
      : librosaFilters(range, options.scale, options.norm)
  const spectrum = new Float64Array(Math.floor(points / 2) + 1)
  const energies = new Float64Array(frames)
  const isAmplitude = options.convention === 'librosa' && options.power === 1
  return {
    frames,
    bins,
    run(signal, into) {
      for (let frame = 0; frame < frames; frame++) {
        energies[frame] = analysis.power(signal, frame, spectrum)
        if (isAmplitude)
          for (let k = 0; k < spectrum.length; k++) spectrum[k] = Math.sqrt(spectrum[k]!)
        applyFilters(filters, spectrum, into, frame * bins)
      }
      const count = frames * bins
      if (options.convention === 'kaldi' || options.log === 'natural')
        for (let index = 0; index < count; index++)
          into[index] = Math.log(Math.max(floor, into[index]!))
      else toDecibels(into, count, options)
    },
    logEnergy: (frame) => Math.log(Math.max(floor, energies[frame]!)),
  }
}

/** librosa's `power_to_db`: 10 log10 of value over reference, no further below the loudest than `range`. */
function toDecibels(
  values: Float64Array,
  count: number,
  { floor, reference, range }: Extract<MelOptions, { convention: 'librosa' }>,
): void {
  let loudest = 0
  for (let index = 0; index < count; index++) loudest = Math.max(loudest, values[index]!)
  const zero = Math.max(floor, reference === 'max' ? loudest : reference)
  const decibels = (value: number) => 10 * Math.log10(Math.max(floor, value) / zero)
  const least = range === null ? Number.NEGATIVE_INFINITY : decibels(loudest) - range
  for (let index = 0; index < count; index++)
    values[index] = Math.max(least, decibels(values[index]!))
}
