import { closeSync, ftruncateSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { type ByteSource, memorySource, withFileSource } from '../../../data/audio/byte-source.ts'
import { type Channel, openWav } from '../../../data/audio/wav.ts'
import { DamagedError } from '../../../data/damaged.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { chunk, type WavFormat, wavFile } from './sound.ts'

async function readAll(source: ByteSource, channel: Channel = 'mean') {
  const { header, read } = await openWav(source, channel)
  return { ...header, samples: Array.from(await read(0, header.frames)) }
}

const readBytes = (bytes: Uint8Array, channel?: Channel) =>
  readAll(memorySource('a.wav', bytes), channel)

const edit = (file: Buffer, at: number, ...bytes: readonly number[]) => {
  const copy = Buffer.from(file)
  copy.set(bytes, at)
  return copy
}

const plain = wavFile([0, 16_384, -32_768, 32_767])

describe('a WAV file', () => {
  it.each<[string, number[], WavFormat, number[]]>([
    ['8 bits', [0, 128, 255], { bits: 8 }, [-1, 0, 127 / 128]],
    ['16 bits', [-32_768, 0, 32_767], { bits: 16 }, [-1, 0, 32_767 / 32_768]],
    ['24 bits', [-8_388_608, -1, 8_388_607], { bits: 24 }, [-1, -(2 ** -23), 1 - 2 ** -23]],
    ['32 bits', [-(2 ** 31), 1, 2 ** 31 - 1], { bits: 32 }, [-1, 2 ** -31, 1 - 2 ** -31]],
    ['floats', [-1.5, 0, 0.25], { code: 3, bits: 32 }, [-1.5, 0, 0.25]],
    ['doubles', [-1.5, 0, 0.1], { code: 3, bits: 64 }, [-1.5, 0, 0.1]],
    ['extended 24 bits', [4_194_304], { bits: 24, isExtensible: true }, [0.5]],
    ['extended floats', [0.5], { code: 3, bits: 32, isExtensible: true }, [0.5]],
    ['one sample', [16_384], {}, [0.5]],
  ])('of %s gives samples of full scale 1', async (_, stored, format, expected) => {
    const found = await readBytes(wavFile(stored, format))
    expect(found.samples).toEqual(expected)
    expect([found.rate, found.channels]).toEqual([16_000, 1])
  })

  it('gives the mean of its channels or one of them', async () => {
    const file = wavFile([16_384, -16_384, 8_192, 0], { channels: 2 })
    expect((await readBytes(file)).samples).toEqual([0, 0.125])
    expect((await readBytes(file, 0)).samples).toEqual([0.5, 0.25])
    expect((await readBytes(file, 1)).samples).toEqual([-0.5, 0])
    await expect(readBytes(file, 2)).rejects.toThrow(/has no channel 2: 2 channels — /)
  })

  it('skips chunks that it does not know, of odd length too', async () => {
    const before = Buffer.concat([chunk('LIST', Buffer.alloc(7)), chunk('fact', Buffer.alloc(4))])
    const after = chunk('id3 ', Buffer.alloc(11))
    const { samples } = await readBytes(
      wavFile(
        [1, 2, 3].map((n) => n * 8_192),
        { before, after },
      ),
    )
    expect(samples).toEqual([0.25, 0.5, 0.75])
  })

  it.each([
    ['0', { riffBytes: 36, dataBytes: 0 }],
    ['0 everywhere', { riffBytes: 0, dataBytes: 0 }],
    ['0xffffffff', { riffBytes: 0xffffffff, dataBytes: 0xffffffff }],
    ['nearly 2 GB', { riffBytes: 0x7fffffff, dataBytes: 0x7fffffdb }],
  ])('of a stream goes to the end where its size is %s', async (_, sizes) => {
    expect((await readBytes(wavFile([8_192, 16_384], sizes))).samples).toEqual([0.25, 0.5])
  })

  it('leaves out a frame that is not whole', async () => {
    const file = wavFile([8_192, 0, 16_384], { channels: 2, riffBytes: 0, dataBytes: 0 })
    expect((await readBytes(file)).samples).toEqual([0.125])
  })

  it.each<[string, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(0), /not a WAV file: it is empty/],
    ['of three bytes', Buffer.from('RIF'), /not a WAV file: it begins with 524946/],
    ['of text', Buffer.from('hello, this is text'), /not a WAV file: it begins with 68656c6c/],
    ['another RIFF file', edit(plain, 8, 0x41, 0x56, 0x49, 0x20), /not a WAV file/],
    ['RF64', edit(plain, 0, 0x52, 0x46, 0x36, 0x34), /an RF64 file/],
    ['FLAC', Buffer.from('fLaC0000000000000'), /a FLAC file — write it as plain WAV/],
    ['MP3', Buffer.from('ID3\x03 0000000000'), /an MP3 file/],
    ['cut after its first head', plain.subarray(0, 12), /end before the chunk 'fmt '/],
    ['cut inside the format', plain.subarray(0, 30), /'?fmt "? is said to have 16 bytes, 10 are/],
    ['without samples', plain.subarray(0, 36), /end before the chunk 'data'/],
    ['cut inside the samples', plain.subarray(0, 49), /5 bytes of samples where 8 were announced/],
    ['of no sample', wavFile([]), /holds no sample — leave it out/],
    ['said to hold none', wavFile([1], { dataBytes: 0 }), /holds no sample/],
    ['of samples before their format', edit(plain, 12, 0x64, 0x61, 0x74, 0x61), /no chunk 'fmt '/],
    ['of no channel', wavFile([1], { channels: 0 }), /has no channel/],
    ['of rate 0', wavFile([1], { rate: 0 }), /not a rate of sound: 0 Hz/],
    ['of an absurd rate', wavFile([1], { rate: 4_000_000_000 }), /rate of sound: 4000000000 Hz/],
    ['of a wrong frame', wavFile([1], { frameBytes: 3 }), /contradicts itself: 3 bytes for 1 chan/],
    ['of 12 bits', edit(plain, 34, 12), /not plain samples: PCM of 12 bits/],
    ['of ADPCM', wavFile([1], { code: 2 }), /not plain samples: Microsoft ADPCM/],
    ['of MP3 inside', wavFile([1], { code: 0x55 }), /not plain samples: MP3/],
    ['of an unknown format', wavFile([1], { code: 0x1234 }), /not plain samples: format 0x1234/],
    ['of A-law, extended', wavFile([1], { code: 6, isExtensible: true }), /samples: A-law/],
    [
      'extended by somebody else',
      edit(wavFile([1], { isExtensible: true }), 50, 9),
      /not plain samples: format 000000000900/,
    ],
    ['extended too shortly', wavFile([1], { code: 0xfffe }), /'fmt ' is too short: 16 bytes/],
    [
      'of a not-a-number',
      wavFile([0, Number.NaN], { code: 3, bits: 32 }),
      /sample 1 is not a number: NaN/,
    ],
    [
      'of an infinite number',
      wavFile([Number.POSITIVE_INFINITY], { code: 3, bits: 64 }),
      /sample 0 is not a number: Infinity/,
    ],
    [
      'of endless chunks',
      wavFile([1], { before: Buffer.concat(Array(1_001).fill(chunk('junk', Buffer.alloc(0)))) }),
      /no samples among its first 1000 chunks/,
    ],
    [
      'of a chunk that lies',
      wavFile([1], { before: chunk('LIST', Buffer.alloc(2), 0xffff_fff0) }),
      /chunk "LIST" is said to have 4294967280 bytes/,
    ],
  ])('%s is refused in one line', async (_, bytes, message) => {
    const thrown = await readBytes(bytes).catch((thrown: unknown) => thrown)
    expect(thrown).toBeInstanceOf(DamagedError)
    expect((thrown as Error).message).toMatch(message)
    expect((thrown as Error).message).toMatch(/^a\.wav: [^\n]+ — [^\n]+$/)
  })

  it('never fails otherwise, whatever byte of it is changed or wherever it is cut', async () => {
    for (let at = 0; at < plain.length; at++)
      for (const bytes of [plain.subarray(0, at), edit(plain, at, 0xff), edit(plain, at, 0)]) {
        const thrown = await readBytes(bytes).catch((thrown: unknown) => thrown)
        if (thrown instanceof Error) expect(thrown).toBeInstanceOf(UserError)
      }
  })

  it('is read in part without reading the rest', async () => {
    const path = join(temporaryFolder(), 'long.wav')
    writeFileSync(path, wavFile([8_192, 16_384], { riffBytes: 0, dataBytes: 0xffff_ffff }))
    // An hour and more of silence, of which the disk keeps nothing.
    const file = openSync(path, 'r+')
    ftruncateSync(file, 2 ** 31)
    closeSync(file)
    await withFileSource(path, async (source) => {
      let bytesRead = 0
      const counted = async (position: number, bytes: number) => {
        const content = await source.read(position, bytes)
        bytesRead += content.length
        return content
      }
      const { header, read } = await openWav({ ...source, read: counted }, 'mean')
      expect(header.frames).toBe(2 ** 30 - 22)
      expect(Array.from(await read(1, 2))).toEqual([0.5, 0])
      expect(Array.from(await read(header.frames - 1, 1))).toEqual([0])
      expect(bytesRead).toBeLessThan(1_000)
    })
  })

  it('is one piece where it is read in several', async () => {
    const stored = Float64Array.from({ length: 700_000 }, (_, n) => (n % 60_000) - 30_000)
    const path = join(temporaryFolder(), 'long.wav')
    writeFileSync(path, wavFile(stored))
    const { samples } = await withFileSource(path, (source) => readAll(source))
    expect(samples.every((sample, n) => sample === stored[n]! / 32_768)).toBe(true)
  })

  it.each(['missing.wav', 'folder', 'circle'])('says what is wrong with %s', async (name) => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'folder'))
    symlinkSync(join(folder, 'circle'), join(folder, 'circle'))
    const path = join(folder, name)
    await expect(withFileSource(path, (source) => readAll(source))).rejects.toThrow(UserError)
    await expect(withFileSource(path, (source) => readAll(source))).rejects.toThrow(path)
  })
})
