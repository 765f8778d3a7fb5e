import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { frontEnd } from '../../../data/audio/front-ends.ts'
import { frontEndOptions } from '../../../data/audio/options.ts'
import { signal } from './sound.ts'

interface Figures {
  readonly name: string
  readonly rate: number
  readonly samples: number
  readonly options: object
  readonly frames: number
  readonly mean: number
  readonly meanSquare: number
  readonly rows: Readonly<Record<string, readonly number[]>>
}

// figures.json was made outside of this project, from the same signal in float64. librosa: by librosa 0.11.0 itself
// (feature.melspectrogram, power_to_db, feature.mfcc). Kaldi: by a transcription of torchaudio.compliance.kaldi's fbank
// and mfcc (whose tests compare it with Kaldi's own binaries) to PyTorch 2.13, with the signal times 32,768.
const { frontEnds } = JSON.parse(
  readFileSync(new URL('figures.json', import.meta.url), 'utf8'),
) as { readonly frontEnds: readonly Figures[] }

const prepare = (options: object, rate = 16_000, samples = 8_000) =>
  frontEnd(frontEndOptions.parse(options), rate, samples)

function run(options: object, sound: Float64Array, rate = 16_000): Float64Array {
  const made = prepare(options, rate, sound.length)
  const values = new Float64Array(made.frames * made.width)
  made.run(sound, values)
  return values
}

describe('front ends', () => {
  it.each(frontEnds.map((figures) => [figures.name, figures] as const))(
    'gives the figures of %s',
    (_, { rate, samples, options, frames, mean, meanSquare, rows }) => {
      const { width, frames: found } = prepare(options, rate, samples)
      const values = run(options, signal(samples, rate), rate)
      expect(found).toBe(frames)
      expect(values.reduce((sum, value) => sum + value / values.length, 0)).toBeCloseTo(mean, 3)
      const squares = values.reduce((sum, value) => sum + value ** 2 / values.length, 0)
      expect(squares / meanSquare).toBeCloseTo(1, 4)
      for (const [frame, expected] of Object.entries(rows)) {
        const row = values.subarray(Number(frame) * width, (Number(frame) + 1) * width)
        expect(row).toHaveLength(expected.length)
        const worst = Math.max(...expected.map((value, bin) => Math.abs(value - row[bin]!)))
        expect(worst).toBeLessThan(1e-3)
      }
    },
  )

  it('gives the same numbers each time it is run', () => {
    const made = prepare({ type: 'mfcc', convention: 'librosa', fft: 400, hop: 160, bins: 40 })
    const [first, again] = [0, 1].map(() => new Float64Array(made.frames * made.width)) as [
      Float64Array,
      Float64Array,
    ]
    made.run(signal(8_000, 16_000), first)
    made.run(new Float64Array(8_000).fill(0.5), again)
    made.run(signal(8_000, 16_000), again)
    expect(again).toEqual(first)
  })

  it.each([
    ['kaldi', Math.log(2 ** -23)],
    ['librosa', -100],
  ])('gives the floor of %s for silence', (convention, floor) => {
    const values = run({ type: 'log-mel', convention }, new Float64Array(8_000))
    expect(values.every((value) => Math.abs(value - floor) < 1e-9)).toBe(true)
  })

  it('is 6.02 dB louder at twice the amplitude', () => {
    const options = { type: 'log-mel', convention: 'librosa', range: null }
    const [quiet, loud] = [1, 2].map((factor) =>
      run(
        options,
        signal(8_000, 16_000).map((sample) => sample * factor),
      ),
    ) as [Float64Array, Float64Array]
    for (const [index, value] of quiet.entries())
      expect(loud[index]! - value).toBeCloseTo(20 * Math.log10(2), 6)
  })

  it('leaves a waveform as it is', () => {
    const sound = signal(100, 8_000)
    expect(run({ type: 'waveform' }, sound, 8_000)).toEqual(sound)
  })

  it('mirrors a sound that is shorter than a frame as often as it takes', () => {
    const options = { type: 'log-mel', convention: 'kaldi', edges: 'reflect', hop: 10, frame: 400 }
    expect(run(options, signal(60, 16_000)).every(Number.isFinite)).toBe(true)
  })

  it.each([
    [{ type: 'log-mel', convention: 'kaldi', high: 9_000 }, /high: above half the rate: 9000/],
    [{ type: 'log-mel', convention: 'kaldi', low: 8_000 }, /low: not below the upper edge: 8000/],
    [
      { type: 'log-mel', convention: 'kaldi', frame: '600ms' },
      /shorter than a frame: 8000 samples/,
    ],
    [{ type: 'log-mel', convention: 'kaldi', frame: 3 }, /frame: too short: 3 samples/],
    [{ type: 'log-mel', convention: 'kaldi', hop: '0.01ms' }, /hop: too short: 0 samples/],
    [{ type: 'mfcc', convention: 'kaldi', coefficients: 24 }, /more than filters: 24/],
    [{ type: 'log-mel', convention: 'librosa', frame: 4096 }, /longer than the Fourier transform/],
    [
      { type: 'log-mel', convention: 'librosa', fft: 16_000, edges: 'reflect' },
      /too short to be mirrored/,
    ],
  ])('refuses %j', (options, message) => {
    expect(() => prepare(options)).toThrow(message)
  })

  it.each([
    { type: 'log-mel' },
    { type: 'log-mel', convention: 'kaldi', fft: 512 },
    { type: 'log-mel', convention: 'librosa', frame: '25 seconds' },
    { type: 'waveform', convention: 'kaldi' },
  ])('refuses the options %j', (options) => {
    expect(frontEndOptions.safeParse(options).success).toBe(false)
  })
})
