// Sounds for people: a short WAV file that a page can hold, and the outline of the waveform.
import { resampler } from './resample.ts'

/** Enough to understand speech; more would make pages large. */
const heardHz = 8000
const heardSeconds = 2

/** Encodes the first two seconds as a WAV file of 8 bits, at 8 kHz at most; full scale is -1..1. */
export function encodeWav(samples: Float64Array, rate: number): Uint8Array {
  const heardRate = Math.min(rate, heardHz)
  const heard = samples.subarray(0, Math.ceil(heardSeconds * rate))
  const resampling = resampler(rate, heardRate)
  const sound = new Float64Array(resampling.lengthOf(heard.length))
  resampling.run(heard, 0, 0, sound)
  const bytes = new Uint8Array(44 + sound.length)
  const view = new DataView(bytes.buffer)
  const text = (at: number, letters: string) => bytes.set(Buffer.from(letters), at)
  text(0, 'RIFF')
  view.setUint32(4, bytes.length - 8, true)
  text(8, 'WAVEfmt ')
  view.setUint32(16, 16, true)
  view.setUint16(20, 1, true) // PCM
  view.setUint16(22, 1, true) // one channel
  view.setUint32(24, heardRate, true)
  view.setUint32(28, heardRate, true) // bytes a second
  view.setUint16(32, 1, true) // bytes a frame
  view.setUint16(34, 8, true) // bits a sample
  text(36, 'data')
  view.setUint32(40, sound.length, true)
  for (const [at, value] of sound.entries())
    bytes[44 + at] = Math.max(0, Math.min(255, Math.round(128 + 127 * value)))
  return bytes
}

/** The largest distance from silence in each of so many equal parts, 0..1, to two digits. */
export function peaksOf(samples: Float64Array, parts: number): number[] {
  return Array.from({ length: parts }, (_, part) => {
    const start = Math.floor((part * samples.length) / parts)
    const end = Math.floor(((part + 1) * samples.length) / parts)
    let peak = 0
    for (let at = start; at < end; at++) peak = Math.max(peak, Math.abs(samples[at]!))
    return Number(Math.min(1, peak).toFixed(2))
  })
}
