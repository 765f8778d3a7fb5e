import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { resampler } from '../../../data/audio/resample.ts'
import { signal } from './sound.ts'

interface Figures {
  readonly from: number
  readonly to: number
  readonly samples: number
  readonly length: number
  readonly values: Readonly<Record<string, number>>
  readonly meanSquare: number
}

// Made by torchaudio.functional.resample's published formula in PyTorch 2.13, float64, as one dense convolution.
const { resampled } = JSON.parse(
  readFileSync(new URL('figures.json', import.meta.url), 'utf8'),
) as { readonly resampled: readonly Figures[] }

function resample(samples: Float64Array, from: number, to: number): Float64Array {
  const made = resampler(from, to)
  const into = new Float64Array(made.lengthOf(samples.length))
  made.run(samples, 0, 0, into)
  return into
}

describe('resampler', () => {
  it.each(resampled.map((figures) => [figures.from, figures.to, figures] as const))(
    'gives the figures for %d to %d Hz',
    (from, to, { samples, length, values, meanSquare }) => {
      const found = resample(signal(samples, from), from, to)
      expect(found).toHaveLength(length)
      for (const [at, value] of Object.entries(values))
        expect(Math.abs(found[Number(at)]! - value)).toBeLessThan(1e-7)
      const squares = found.reduce((sum, value) => sum + value ** 2 / length, 0)
      expect(Math.abs(squares - meanSquare)).toBeLessThan(1e-8)
    },
  )

  it.each([
    [44_100, 16_000],
    [8_000, 16_000],
    [16_000, 16_000],
  ])('gives the same part from the samples that it says it needs: %d to %d Hz', (from, to) => {
    const sound = signal(3_000, from)
    const whole = resample(sound, from, to)
    const made = resampler(from, to)
    for (const [first, count] of [
      [0, 50],
      [301, 77],
      [whole.length - 40, 40],
    ] as const) {
      const [begin, span] = made.spanOf(first, count)
      const start = Math.max(0, begin)
      const part = new Float64Array(count)
      made.run(sound.slice(start, Math.min(sound.length, begin + span)), start, first, part)
      expect(part).toEqual(whole.slice(first, first + count))
    }
  })

  it('keeps a tone below both halves of the rates', () => {
    const tone = (rate: number) => (n: number) => Math.sin((2 * Math.PI * 440 * n) / rate)
    const sound = Float64Array.from({ length: 4_410 }, (_, n) => tone(44_100)(n))
    const found = resample(sound, 44_100, 16_000)
    for (let n = 100; n < found.length - 100; n++)
      expect(Math.abs(found[n]! - tone(16_000)(n))).toBeLessThan(0.01)
  })

  it('makes filters as they are needed where the rates have no common divisor', () => {
    const made = resampler(767_999, 191_999)
    const part = new Float64Array(20)
    made.run(signal(1_000, 767_999), 0, 100, part)
    expect(part.every((value) => Math.abs(value) < 1)).toBe(true)
    expect(made.lengthOf(767_999)).toBe(191_999)
  })
})
