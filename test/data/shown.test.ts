// What people see of samples: the same that the model was given, before preprocessing.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { memorySource } from '../../data/audio/byte-source.ts'
import { encodeWav, peaksOf } from '../../data/audio/encode.ts'
import { openWav } from '../../data/audio/wav.ts'
import { encodePicture, pixelsOf } from '../../data/images/encode.ts'
import { openData } from '../../data/open.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { dataOptions } from '../../data/sources.ts'
import { signal, wavOf } from './audio/sound.ts'
import { idxFile, temporaryFolders, writeFiles } from './support.ts'

const folder = temporaryFolders()
const open = (options: object) =>
  openData(dataOptions.parse(options), {
    ...{ cacheFolder: folder(), seed: 1, target: 'class', version: 'test' },
    preprocess: preprocessOptions.parse({ mean: 0.5, std: 0.5 }),
    log: () => undefined,
  })

describe('samples of the test split', () => {
  it('are the pixels that were stored, whatever the preprocessing', async () => {
    const pixels = (count: number, from: number) =>
      idxFile(
        [count, 6, 5],
        Uint8Array.from({ length: count * 30 }, (_, at) => (at * 7 + from) % 256),
      )
    const path = writeFiles(folder(), {
      'train-images-idx3-ubyte': pixels(9, 0),
      'train-labels-idx1-ubyte': idxFile([9], [0, 1, 2, 0, 1, 2, 0, 1, 2]),
      't10k-images-idx3-ubyte': pixels(4, 99),
      't10k-labels-idx1-ubyte': idxFile([4], [2, 0, 1, 0]),
    })
    const { splits, show } = await open({ format: 'idx', path })
    const planes = splits.test.columns.findIndex(({ name }) => name.endsWith('.planes'))
    for (const [place, [shown]] of (await show([3, 1])).entries()) {
      const expected = new Uint8Array(30)
      splits.test.read([3, 1][place]!, planes, expected, 0)
      expect(shown).toEqual({
        kind: 'image',
        pixels: { channels: 1, height: 6, width: 5, bytes: expected },
      })
    }
  })

  it('are texts and cells, of a test split that was held out too', async () => {
    const lines = Array.from({ length: 12 }, (_, at) => `word${at} and more,${at},${at % 2}`)
    const path = join(writeFiles(folder(), { 'a.csv': `t,n,y\n${lines.join('\n')}\n` }), 'a.csv')
    const { splits, show } = await open({
      ...{ format: 'csv', path, target: 'y' },
      features: {
        n: { kind: 'number', column: 'n', standardise: false },
        t: { kind: 'text', column: 't', tokenizer: { kind: 'byte' } },
      },
    })
    const at = splits.test.columns.findIndex(({ name }) => name === 'n')
    const value = new Float32Array(1)
    splits.test.read(1, at, value, 0)
    expect(await show([1])).toEqual([
      [
        { kind: 'text', text: `n: ${value[0]}` },
        { kind: 'text', text: `word${value[0]} and more` },
      ],
    ])
  })

  it('are sounds, and nothing where a file has gone', async () => {
    const path = folder()
    const sound = signal(800, 8000)
    const names = ['a', 'b'].flatMap((label) => [1, 2, 3, 4].map((n) => `${label}/${n}.wav`))
    writeFiles(path, Object.fromEntries(names.map((name) => [name, wavOf(sound, 8000)])))
    const { splits, show } = await open({
      ...{ format: 'wav', path, test: { share: 0.5 } },
      features: {
        audio: {
          kind: 'audio',
          rate: 8000,
          seconds: 0.1,
          frontEnd: { type: 'mfcc', convention: 'librosa' },
        },
      },
    })
    const all = [...splits.test.labels.keys()]
    const [[shown] = []] = await show(all)
    if (shown?.kind !== 'sound') throw new Error('no sound')
    expect(shown.rate).toBe(8000)
    expect(Math.abs(shown.samples[400]! - sound[400]!)).toBeLessThan(1e-3)
    for (const name of names) rmSync(join(path, name))
    expect(await show(all)).toEqual(all.map(() => []))
  })
})

describe('pixelsOf', () => {
  it('puts planes side by side, and spreads numbers from black to white', () => {
    const planes = Uint8Array.from({ length: 48 }, (_, at) => at)
    expect(pixelsOf([3, 4, 4], planes)?.bytes.slice(0, 6)).toEqual(
      Uint8Array.of(0, 16, 32, 1, 17, 33),
    )
    expect(pixelsOf([4, 4, 3], planes)?.bytes).toEqual(planes)
    const ramp = Float32Array.from({ length: 16 }, (_, at) => at - 8)
    expect(pixelsOf([4, 4], ramp)?.bytes).toEqual(
      Uint8Array.from({ length: 16 }, (_, at) => at * 17),
    )
    expect(pixelsOf([4, 4], new Float32Array(16).fill(3))?.bytes).toEqual(new Uint8Array(16))
  })

  it.each([[[16]], [[2, 8]], [[2, 4, 4]], [[1, 1, 16]]])('sees no picture in %j', (shape) => {
    expect(pixelsOf(shape, new Float32Array(32))).toBeUndefined()
  })
})

describe('what a page can hold', () => {
  it('is a small picture to the bit, and a large one reduced', async () => {
    const bytes = Uint8Array.from({ length: 8 * 9 * 3 }, (_, at) => (at * 31) % 256)
    const small = await encodePicture({ height: 8, width: 9, channels: 3, bytes })
    expect(small).toMatchObject({ type: 'image/png', width: 9, height: 8 })
    expect(new Uint8Array(await sharp(small.bytes).raw().toBuffer())).toEqual(bytes)
    const large = { height: 300, width: 400, channels: 3, bytes: new Uint8Array(360_000).fill(90) }
    expect(await encodePicture(large)).toMatchObject({ type: 'image/jpeg', width: 96, height: 72 })
  })

  it('is two seconds of sound at 8 kHz', async () => {
    const sound = signal(48_000, 16_000)
    const file = encodeWav(sound, 16_000)
    const { header, read } = await openWav(memorySource('sound', file), 'mean')
    expect(header).toMatchObject({ rate: 8000, frames: 16_000, channels: 1 })
    const heard = await read(0, 2000)
    // Low tones are what they were; 8 bits are as coarse as 1/128.
    for (let at = 100; at < 1000; at += 50)
      expect(Math.abs(heard[at]! - sound[2 * at]!)).toBeLessThan(0.1)
    expect(peaksOf(Float64Array.of(0, 0.5, -1, 0.25), 2)).toEqual([0.5, 1])
  })
})
