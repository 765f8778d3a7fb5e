import { describe, expect, it } from '@jest/globals'
import { powerOfTwoFrom, powerSpectrum } from '../../../data/audio/spectrum.ts'
import { signal } from './sound.ts'

describe('powerSpectrum', () => {
  it.each([4, 5, 8, 30, 64, 77, 400, 512])('is the definition for %d points', (points) => {
    const frame = signal(points, 8_000)
    const found = new Float64Array(Math.floor(points / 2) + 1)
    const spectrum = powerSpectrum(points)
    spectrum(signal(points, 100), found)
    spectrum(frame.slice(), found)
    for (const [k, power] of found.entries()) {
      let [real, imaginary] = [0, 0]
      for (const [n, sample] of frame.entries()) {
        real += sample * Math.cos((2 * Math.PI * k * n) / points)
        imaginary -= sample * Math.sin((2 * Math.PI * k * n) / points)
      }
      expect(Math.abs(power - (real ** 2 + imaginary ** 2))).toBeLessThan(1e-9)
    }
  })
})

describe('powerOfTwoFrom', () => {
  it.each([
    [1, 1],
    [200, 256],
    [256, 256],
    [257, 512],
  ])('rounds %d up to %d', (minimum, power) => {
    expect(powerOfTwoFrom(minimum)).toBe(power)
  })
})
