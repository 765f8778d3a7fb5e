// Sound in RIFF/WAVE files: any part of it is read without reading the rest.
import { UserError } from '../../base/errors.ts'
import { DamagedError } from '../damaged.ts'
import type { ByteSource } from './byte-source.ts'
import { sampleReaders } from './samples.ts'
import { readWavHeader, sampleBytes, type WavHeader } from './wav-header.ts'

/** Which channel of a file is heard: all of them in equal shares, or one by its number from 0. */
export type Channel = 'mean' | number

/** A sound whose header was read and checked. */
export interface Sound {
  readonly header: WavHeader
  /**
   * Reads one channel's samples from `first` on, as many as are asked for, which the sound must have; full scale is
   * -1..1.
   */
  read(first: number, count: number): Promise<Float64Array>
}

const pieceBytes = 1 << 20

/**
 * Opens a sound: PCM of 8, 16, 24 or 32 bits, or IEEE floating point of 32 or 64 bits, of any number of channels.
 *
 * What is no such file is a {@link DamagedError}; a channel that the file lacks is a `UserError`.
 */
export async function openWav(source: ByteSource, channel: Channel): Promise<Sound> {
  const header = await readWavHeader(source)
  const { channels, frames, frameBytes, encoding, dataStart } = header
  const { where } = source
  if (channel !== 'mean' && channel >= channels)
    throw new UserError(
      `${where}: has no channel ${channel}: ${channels} channels — channels count from 0; name another, or 'mean'`,
    )
  const from = channel === 'mean' ? 0 : channel
  const heard = channel === 'mean' ? channels : 1
  const bytes = sampleBytes[encoding]
  const readSample = sampleReaders[encoding]
  const piece = Math.max(1, Math.floor(pieceBytes / frameBytes))

  const read = async (first: number, count: number) => {
    if (first < 0 || count < 0 || first + count > frames)
      throw new Error(`internal: samples ${first} + ${count} of ${frames}`)
    const samples = new Float64Array(count)
    for (let done = 0; done < count; done += piece) {
      const size = Math.min(piece, count - done)
      const position = dataStart + (first + done) * frameBytes
      const content = await source.read(position, size * frameBytes)
      if (content.length < size * frameBytes)
        throw new DamagedError(`${where}: truncated while it was read — fetch the file again`)
      const view = new DataView(content.buffer, content.byteOffset, content.length)
      for (let frame = 0; frame < size; frame++) {
        let sum = 0
        const start = frame * frameBytes + from * bytes
        for (let each = 0; each < heard; each++) sum += readSample(view, start + each * bytes)
        if (!Number.isFinite(sum))
          throw new DamagedError(
            `${where}: sample ${first + done + frame} is not a number: ${sum} — write the file again`,
          )
        samples[done + frame] = sum / heard
      }
    }
    return samples
  }
  return { header, read }
}
