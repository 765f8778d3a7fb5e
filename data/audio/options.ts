// Options of the front ends: what is made of a sound, by whose conventions.
import { z } from 'zod'
import { melScales } from './mel.ts'
import { windowNames } from './windows.ts'

/** The smallest number that Kaldi takes the logarithm of: the distance of floats at 1. */
const kaldiFloor = 2 ** -23

const milliseconds = /^\d+(\.\d+)?\s?ms$/

const duration = (what: string) =>
  z
    .union([z.int().min(1).max(65_536), z.string().regex(milliseconds)])
    .describe(`${what}: a number of samples, or milliseconds as '25ms', rounded down to samples.`)

const positive = z.number().positive()

const layout = z
  .enum(['image', 'sequence', 'frames'])
  .default('image')
  .describe(
    'image: [1, frames, bins]; sequence: [bins, frames], for convolutions in one dimension; frames: [frames, bins].',
  )

const range = {
  low: z.number().min(0),
  high: positive
    .optional()
    .describe('Upper edge of the last filter in Hz; half the rate unless given.'),
}

const kaldiSpectrum = {
  convention: z.literal('kaldi'),
  frame: duration('Length of a frame').default('25ms'),
  hop: duration('From one frame to the next').default('10ms'),
  window: z.enum(windowNames).default('povey').describe('Window function, symmetric.'),
  edges: z
    .enum(['snip', 'reflect'])
    .default('snip')
    .describe(
      'snip: whole frames alone, 1 + floor((samples - frame) / hop); reflect: floor((samples + hop / 2) / hop), the sound mirrored at its ends.',
    ),
  preemphasis: z.number().min(0).max(1).default(0.97).describe('x[n] - preemphasis x[n - 1].'),
  removeOffset: z.boolean().default(true).describe("Subtract each frame's mean."),
  scale: positive
    .default(32_768)
    .describe('Full scale of the samples: Kaldi reads 16-bit numbers.'),
  bins: z.int().min(1).max(1024).default(23).describe('Mel filters.'),
  low: range.low.default(20).describe('Lower edge of the first filter in Hz.'),
  high: range.high,
  floor: positive.default(kaldiFloor).describe('Smallest power of a filter before the logarithm.'),
  layout,
}

const librosaSpectrum = {
  convention: z.literal('librosa'),
  fft: z
    .int()
    .min(4)
    .max(65_536)
    .default(2048)
    .describe('Points of the Fourier transform; need not be a power of two.'),
  frame: duration(
    'Length of the window, in the middle of the points; as many as them unless given',
  ).optional(),
  hop: duration('From one frame to the next').default(512),
  window: z.enum(windowNames).default('hann').describe('Window function, periodic.'),
  edges: z
    .enum(['zero', 'reflect', 'snip'])
    .default('zero')
    .describe(
      'zero, reflect: frames are centred on every hop, 1 + floor(samples / hop), the sound padded so at its ends; snip: whole frames alone, 1 + floor((samples - fft) / hop).',
    ),
  power: z
    .union([z.literal(1), z.literal(2)])
    .default(2)
    .describe('Exponent of the magnitudes: 1 for amplitudes, 2 for powers.'),
  bins: z.int().min(1).max(1024).default(128).describe('Mel filters.'),
  low: range.low.default(0).describe('Lower edge of the first filter in Hz.'),
  high: range.high,
  scale: z.enum(melScales).default('slaney').describe('Formula of the mel scale.'),
  norm: z
    .enum(['slaney', 'none'])
    .default('slaney')
    .describe('slaney: filters of equal area; none: of height 1.'),
  log: z
    .enum(['decibel', 'natural'])
    .default('decibel')
    .describe('decibel: 10 log10(x / reference), as power_to_db; natural: ln x.'),
  floor: positive.default(1e-10).describe('Smallest value before the logarithm.'),
  reference: z
    .union([positive, z.literal('max')])
    .default(1)
    .describe('What is 0 dB: a number, or the loudest of each recording. For decibels alone.'),
  range: positive
    .nullable()
    .default(80)
    .describe(
      'Values further below the loudest of each recording are raised to this distance, in dB; null leaves them. For decibels alone.',
    ),
  layout,
}

const logMel = z.literal('log-mel')
const mfcc = z.literal('mfcc')
const coefficients = z.int().min(1).max(1024)
const lifter = z.number().min(0)

/** Schema of the front ends. */
export const frontEndOptions = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('waveform'),
    layout: z
      .enum(['samples', 'sequence'])
      .default('samples')
      .describe('samples: [samples]; sequence: [1, samples], for convolutions.'),
  }),
  z.discriminatedUnion('convention', [
    z.strictObject({ type: logMel, ...kaldiSpectrum }),
    z.strictObject({ type: logMel, ...librosaSpectrum }),
  ]),
  z.discriminatedUnion('convention', [
    z.strictObject({
      type: mfcc,
      ...kaldiSpectrum,
      coefficients: coefficients.default(13).describe('Cepstral coefficients, at most bins.'),
      lifter: lifter
        .default(22)
        .describe('Coefficient i is multiplied by 1 + lifter / 2 sin(πi / lifter); 0: by 1.'),
      energy: z
        .boolean()
        .default(false)
        .describe(
          "Put the logarithm of the frame's energy, before preemphasis and window, in place of coefficient 0.",
        ),
    }),
    z.strictObject({
      type: mfcc,
      ...librosaSpectrum,
      coefficients: coefficients.default(20).describe('Cepstral coefficients, at most bins.'),
      lifter: lifter
        .default(0)
        .describe('Coefficient i is multiplied by 1 + lifter / 2 sin(π(i + 1) / lifter); 0: by 1.'),
    }),
  ]),
])

/** Resolved options of a front end. */
export type FrontEndOptions = z.output<typeof frontEndOptions>

/** A duration of the options in whole samples. */
export function samplesOf(duration: number | string, rate: number): number {
  if (typeof duration === 'number') return duration
  // Without the small addition 11.025 kHz times 0.04 s would be a sample less than it is.
  return Math.floor((Number.parseFloat(duration) * rate) / 1000 + 1e-9)
}
