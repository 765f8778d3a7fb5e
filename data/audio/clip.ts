// A sound of fixed length at one rate, of a file of any.
import type { ByteSource } from './byte-source.ts'
import { type Resampler, resampler } from './resample.ts'
import { type Channel, openWav } from './wav.ts'

/** How a sound is made to fit. */
export interface ClipOptions {
  /** In Hz. */
  readonly rate: number
  /** Samples of a clip. */
  readonly length: number
  readonly channel: Channel
  /** Where a shorter sound gets its silence: after it, or on both sides. */
  readonly pad: 'end' | 'centre'
  /** Which part of a longer sound is heard. */
  readonly cut: 'start' | 'centre'
}

/** Reads the part of a file that is heard, and sees to rate and length: `[length]`, full scale -1..1. */
export type ReadClip = (source: ByteSource) => Promise<Float64Array>

// Files of one data set have a few rates; a hostile one might have a new rate in each.
const maximumResamplers = 16

/** Prepares reading; no more of a file is read than a clip needs, however long it is. */
export function clipReader({ rate, length, channel, pad, cut }: ClipOptions): ReadClip {
  const resamplers = new Map<number, Resampler>()
  const resamplerFrom = (from: number) => {
    const known = resamplers.get(from)
    if (known) return known
    if (resamplers.size === maximumResamplers) resamplers.clear()
    const made = resampler(from, rate)
    resamplers.set(from, made)
    return made
  }
  return async (source) => {
    const { header, read } = await openWav(source, channel)
    const resampling = resamplerFrom(header.rate)
    const total = resampling.lengthOf(header.frames)
    const count = Math.min(length, total)
    const first = cut === 'centre' ? Math.floor((total - count) / 2) : 0
    const [begin, span] = resampling.spanOf(first, count)
    const start = Math.max(0, begin)
    const samples = await read(start, Math.min(header.frames, begin + span) - start)
    const clip = new Float64Array(length)
    const at = pad === 'centre' ? Math.floor((length - count) / 2) : 0
    resampling.run(samples, start, first, clip.subarray(at, at + count))
    return clip
  }
}
