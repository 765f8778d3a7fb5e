// The header of a RIFF/WAVE file (Microsoft and IBM 1991, WAVE_FORMAT_EXTENSIBLE 2001), checked before it is believed.
import { DamagedError } from '../damaged.ts'
import type { ByteSource } from './byte-source.ts'

/** How samples are stored: unsigned bytes, signed whole numbers or floating point, little-endian. */
export type SampleEncoding = 'u8' | 's16' | 's24' | 's32' | 'f32' | 'f64'

/** What the header of a file tells; everything agrees with the size of the file. */
export interface WavHeader {
  readonly encoding: SampleEncoding
  readonly channels: number
  /** Samples a second of each channel, in Hz. */
  readonly rate: number
  /** How many samples each channel has, at least one. */
  readonly frames: number
  /** Bytes of one sample of all channels. */
  readonly frameBytes: number
  /** Where the samples begin in the file. */
  readonly dataStart: number
}

/** Bytes of one sample of one channel. */
export const sampleBytes: Readonly<Record<SampleEncoding, number>> = {
  ...{ u8: 1, s16: 2, s24: 3 },
  ...{ s32: 4, f32: 4, f64: 8 },
}

const encodings = new Map<string, SampleEncoding>([
  ['1/8', 'u8'],
  ['1/16', 's16'],
  ['1/24', 's24'],
  ['1/32', 's32'],
  ['3/32', 'f32'],
  ['3/64', 'f64'],
])

const extensible = 0xfffe
// What follows the format's number in an identifier of WAVE_FORMAT_EXTENSIBLE.
const identifierRest = '000000001000800000aa00389b71'

const compressedFormats = new Map([
  [0x0002, 'Microsoft ADPCM'],
  [0x0006, 'A-law'],
  [0x0007, 'µ-law'],
  [0x0011, 'IMA ADPCM'],
  [0x0031, 'GSM 6.10'],
  [0x0050, 'MPEG audio'],
  [0x0055, 'MP3'],
  [0x0092, 'Dolby AC-3'],
  [0x0161, 'Windows Media Audio'],
  [0xf1ac, 'FLAC'],
])

const otherFiles: readonly (readonly [start: string, name: string])[] = [
  ['RF64', 'an RF64 file, WAVE of more than 4 GB'],
  ['BW64', 'a BW64 file, WAVE of more than 4 GB'],
  ['RIFX', 'a RIFX file, WAVE with the big end first'],
  ['fLaC', 'a FLAC file'],
  ['OggS', 'an Ogg file'],
  ['ID3', 'an MP3 file'],
  ['\xff\xfb', 'an MP3 file'],
  ['FORM', 'an AIFF file'],
  ['.snd', 'an AU file'],
]

const maximumChunks = 1000
const minimumRate = 100
const maximumRate = 768_000
const rewrite = "write it as plain WAV, as with 'ffmpeg -i in -c:a pcm_s16le out.wav'"
const again = 'fetch the file again'

/**
 * Reads the header of a file; chunks that it does not know are skipped.
 *
 * Where a writer could not go back to fill in the sizes (0 or about 2 or 4 GB, as streams have), the samples go on to
 * the end of the file. A last frame that is not whole is left out. Anything else that does not agree, and formats that
 * are not plain samples, are a {@link DamagedError}.
 */
export async function readWavHeader(source: ByteSource): Promise<WavHeader> {
  const { where, size } = source
  const damaged = (what: string, todo = again) => new DamagedError(`${where}: ${what} — ${todo}`)
  if (size === 0) throw damaged('not a WAV file: it is empty')
  const head = await source.read(0, 12)
  const start = textOf(head, 0, 4)
  const other = otherFiles.find(([begin]) => start.startsWith(begin))
  if (other) throw damaged(`not a WAV file: ${other[1]}`, rewrite)
  if (start !== 'RIFF' || textOf(head, 8, 12) !== 'WAVE')
    throw damaged(`not a WAV file: it begins with ${hexOf(head.subarray(0, 4))}`, rewrite)
  const riffEnd = 8 + viewOf(head).getUint32(4, true)

  let format: Format | undefined
  let position = 12
  for (let chunk = 0; chunk < maximumChunks; chunk++) {
    const chunkHead = await source.read(position, 8)
    if (chunkHead.length < 8) {
      const missing = format ? "'data'" : "'fmt '"
      throw damaged(`truncated: its ${size} bytes end before the chunk ${missing}`)
    }
    const name = textOf(chunkHead, 0, 4)
    const announced = viewOf(chunkHead).getUint32(4, true)
    position += 8
    if (name === 'data') {
      if (!format) throw damaged("no chunk 'fmt ' before its samples")
      const { frameBytes } = format
      const rest = size - position
      const isStream =
        announced >= 0x7fff_0000 ? announced > rest : announced === 0 && riffEnd < size
      if (!isStream && announced > rest)
        throw damaged(`truncated: ${rest} bytes of samples where ${announced} were announced`)
      const frames = Math.floor((isStream ? rest : announced) / frameBytes)
      if (frames === 0) throw damaged('holds no sample', 'leave it out')
      return { ...format, frames, dataStart: position }
    }
    if (announced > size - position)
      throw damaged(
        `truncated: chunk ${printable(name)} is said to have ${announced} bytes, ${size - position} are left`,
      )
    if (name === 'fmt ') format = formatOf(await source.read(position, Math.min(40, announced)))
    // Chunks begin at even places.
    position += announced + (announced % 2)
  }
  throw damaged(`no samples among its first ${maximumChunks} chunks`)

  function formatOf(bytes: Uint8Array): Format {
    if (bytes.length < 16) throw damaged(`its chunk 'fmt ' is too short: ${bytes.length} bytes`)
    const view = viewOf(bytes)
    const [channels, rate] = [view.getUint16(2, true), view.getUint32(4, true)]
    const [frameBytes, bits] = [view.getUint16(12, true), view.getUint16(14, true)]
    let code = view.getUint16(0, true)
    if (code === extensible) {
      if (bytes.length < 40)
        throw damaged(`its extended chunk 'fmt ' is too short: ${bytes.length} bytes`)
      code = view.getUint16(24, true)
      const rest = hexOf(bytes.subarray(26, 40))
      if (rest !== identifierRest) throw damaged(`not plain samples: format ${rest}`, rewrite)
    }
    const encoding = encodings.get(`${code}/${bits}`)
    if (encoding === undefined) {
      const plain = code === 1 ? 'PCM' : code === 3 ? 'floating point' : undefined
      const named = compressedFormats.get(code) ?? `format 0x${code.toString(16)}`
      throw damaged(`not plain samples: ${plain ? `${plain} of ${bits} bits` : named}`, rewrite)
    }
    if (channels === 0) throw damaged('has no channel: 0 channels')
    if (rate < minimumRate || rate > maximumRate)
      throw damaged(`not a rate of sound: ${rate} Hz`, `${minimumRate} to ${maximumRate} are read`)
    if (frameBytes !== channels * sampleBytes[encoding])
      throw damaged(
        `its header contradicts itself: ${frameBytes} bytes for ${channels} channels of ${bits} bits`,
      )
    return { encoding, channels, rate, frameBytes }
  }
}

type Format = Omit<WavHeader, 'frames' | 'dataStart'>

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

const textOf = (bytes: Uint8Array, start: number, end: number) =>
  Buffer.from(bytes.subarray(start, end)).toString('latin1')

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

const printable = (name: string) => JSON.stringify(name.replaceAll(/[^\x20-\x7e]/g, '?'))
