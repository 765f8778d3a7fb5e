// From samples to the power spectra of frames, as Kaldi and as librosa cut, weight and pad them.
import { UserError } from '../../base/errors.ts'
import { type FrontEndOptions, samplesOf } from './options.ts'
import { powerOfTwoFrom, powerSpectrum } from './spectrum.ts'
import { windowOf } from './windows.ts'

/** Spectra of the frames of sounds of one length. */
export interface Analysis {
  readonly frames: number
  /** Points of the Fourier transform. */
  readonly points: number
  /**
   * Writes the power at 0 … floor(points / 2) of a frame; gives the frame's energy, the sum of its squares before
   * preemphasis and window.
   */
  power(signal: Float64Array, frame: number, into: Float64Array): number
}

type Options<Convention> = Extract<FrontEndOptions, { convention: Convention }>

/**
 * Frames as Kaldi's `compute-fbank-feats` makes them: mean removed, preemphasis, window, zeros up to a power of two.
 *
 * There is no dither, which Kaldi adds by default: equal sounds shall give equal numbers.
 */
export function kaldiAnalysis(options: Options<'kaldi'>, rate: number, length: number): Analysis {
  const { preemphasis, removeOffset, scale, edges } = options
  const size = samplesOf(options.frame, rate)
  const hop = samplesOf(options.hop, rate)
  checkFrame(size, hop)
  const frames =
    edges === 'snip'
      ? Math.floor((length - size) / hop) + 1
      : Math.floor((length + Math.floor(hop / 2)) / hop)
  checkFrames(frames, length, size)
  const begin = edges === 'snip' ? 0 : Math.floor(hop / 2) - Math.floor(size / 2)
  const window = windowOf(options.window, size, 'symmetric')
  const points = powerOfTwoFrom(size)
  const frame = new Float64Array(points)
  const spectrum = powerSpectrum(points)
  return {
    frames,
    points,
    power(signal, number, into) {
      const start = begin + number * hop
      let sum = 0
      for (let n = 0; n < size; n++) {
        const at = start + n
        const isInside = at >= 0 && at < length
        frame[n] = scale * signal[isInside ? at : mirrored(at, length)]!
        sum += frame[n]!
      }
      const offset = removeOffset ? sum / size : 0
      let energy = 0
      for (let n = 0; n < size; n++) {
        frame[n]! -= offset
        energy += frame[n]! ** 2
      }
      // Backwards: each sample needs the one before it as it was.
      for (let n = size - 1; n >= 0; n--)
        frame[n] = (frame[n]! - preemphasis * frame[Math.max(0, n - 1)]!) * window[n]!
      frame.fill(0, size)
      spectrum(frame, into)
      return energy
    },
  }
}

/** Frames as librosa's `stft` makes them: centred unless snipped, the window in the middle of the points. */
export function librosaAnalysis(
  options: Options<'librosa'>,
  rate: number,
  length: number,
): Analysis {
  const { fft: points, edges } = options
  const size = options.frame === undefined ? points : samplesOf(options.frame, rate)
  const hop = samplesOf(options.hop, rate)
  checkFrame(size, hop)
  if (size > points)
    throw new UserError(
      `audio.frontEnd: a frame is longer than the Fourier transform: ${size} samples, fft: ${points} — shorten frame or raise fft`,
    )
  const begin = edges === 'snip' ? 0 : -Math.floor(points / 2)
  const frames = Math.floor((length - (edges === 'snip' ? points : 0)) / hop) + 1
  checkFrames(frames, length, points)
  if (edges === 'reflect' && length <= -begin)
    throw new UserError(
      `audio.frontEnd: too short to be mirrored at its ends: ${length} samples, fft: ${points} — raise seconds, lower fft, or take edges: zero`,
    )
  const before = Math.floor((points - size) / 2)
  const window = new Float64Array(points)
  window.set(windowOf(options.window, size, 'periodic'), before)
  const frame = new Float64Array(points)
  const spectrum = powerSpectrum(points)
  return {
    frames,
    points,
    power(signal, number, into) {
      const start = begin + number * hop
      let energy = 0
      for (let n = 0; n < points; n++) {
        const at = start + n
        let sample = 0
        if (at >= 0 && at < length) sample = signal[at]!
        // The end sample itself is not repeated, unlike in Kaldi's mirror.
        else if (edges === 'reflect') sample = signal[at < 0 ? -at : 2 * (length - 1) - at]!
        energy += sample ** 2
        frame[n] = sample * window[n]!
      }
      spectrum(frame, into)
      return energy
    },
  }
}

/** …2 1 0 | 0 1 2 … n-1 | n-1 n-2…, as often as it takes. */
function mirrored(at: number, length: number): number {
  const phase = ((at % (2 * length)) + 2 * length) % (2 * length)
  return phase < length ? phase : 2 * length - 1 - phase
}

function checkFrame(size: number, hop: number): void {
  if (size < 4)
    throw new UserError(`audio.frontEnd.frame: too short: ${size} samples — at least 4 are needed`)
  if (hop < 1)
    throw new UserError(`audio.frontEnd.hop: too short: ${hop} samples — at least 1 is needed`)
}

function checkFrames(frames: number, length: number, size: number): void {
  if (frames < 1)
    throw new UserError(
      `audio.seconds: shorter than a frame: ${length} samples, a frame has ${size} — raise seconds or shorten the frame`,
    )
}
