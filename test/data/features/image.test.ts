// Figures: Pillow 12.3.0 (and numpy 2.4.6 for the pictures), as the CRC-32 of the pixels that it gives.
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { UserError } from '../../../base/errors.ts'
import { DamagedError } from '../../../data/damaged.ts'
import { image, imageOptions } from '../../../data/features/image.ts'
import type { Pixels } from '../../../data/images/pixels.ts'
import { type Interpolation, resample } from '../../../data/images/resample.ts'
import type { Cell, TableColumn } from '../../../data/table.ts'
import { temporaryFolder } from '../../support/folder.ts'

const folder = temporaryFolder()

/** A picture by a formula of row, column and channel. */
function picture(
  height: number,
  width: number,
  channels: number,
  value: (y: number, x: number, c: number) => number,
): Pixels {
  const bytes = Uint8Array.from({ length: height * width * channels }, (_, at) => {
    const pixel = Math.floor(at / channels)
    return value(Math.floor(pixel / width), pixel % width, at % channels)
  })
  return { height, width, channels, bytes }
}

const encoded = (pixels: Pixels) =>
  sharp(pixels.bytes, {
    raw: { width: pixels.width, height: pixels.height, channels: pixels.channels as 3 | 4 },
  })
const plain = (height: number, width: number, bytes: readonly number[] = [10, 20, 30]) =>
  encoded(picture(height, width, bytes.length, (_y, _x, c) => bytes[c]!))

type Input = Omit<Parameters<typeof imageOptions.parse>[0] & object, 'kind'>
const options = (given: Input) => imageOptions.parse({ kind: 'image', ...given })
const column = (type: TableColumn['type']) => ({
  columns: [{ name: 'image', type }],
  targets: [],
  folder,
})

/** The output of the feature for one cell, learned from others where those are given. */
async function encode(given: Input, cell: Cell, training: readonly Cell[] = []) {
  const type = typeof cell === 'string' ? 'text' : cell instanceof Uint8Array ? 'bytes' : 'file'
  const settled = options(given)
  const learner = await image.learn!(settled, column(type))
  for (const other of training) await learner.observe([other])
  const encoder = await image.prepare(settled, learner.finish(), column(type))
  const [output] = encoder.outputs
  const bytes = new Uint8Array(output!.shape.reduce((size, dim) => size * dim, 1))
  await encoder.encode([cell], [bytes])
  return { shape: output!.shape, bytes, dtype: output!.dtype }
}

describe('resample', () => {
  const source = (height: number, width: number) =>
    picture(
      height,
      width,
      3,
      (y, x, c) => (x * x * 3 + y * y * 5 + x * y * 7 + c * 37 + Math.floor(x / 3) * 50) % 256,
    )
  // biome-ignore format: a table
  it.each<[Interpolation, number, number, number, number, number]>([
    ['nearest', 13, 17, 5, 4, 1265317613], ['lanczos', 13, 17, 5, 4, 1118387072],
    ['bilinear', 13, 17, 5, 4, 1225395557], ['bicubic', 13, 17, 5, 4, 561474330],
    ['box', 13, 17, 5, 4, 2461415275], ['hamming', 13, 17, 5, 4, 2423799387],
    ['nearest', 13, 17, 29, 40, 3375956306], ['lanczos', 13, 17, 29, 40, 3984821850],
    ['bilinear', 13, 17, 29, 40, 3587152226], ['bicubic', 13, 17, 29, 40, 4227788277],
    ['box', 13, 17, 29, 40, 3375956306], ['hamming', 13, 17, 29, 40, 3912536954],
    ['nearest', 24, 31, 24, 7, 754065830], ['lanczos', 24, 31, 24, 7, 3283528038],
    ['nearest', 24, 31, 9, 31, 1720507830], ['bilinear', 24, 31, 9, 31, 3156888865],
    ['lanczos', 200, 301, 61, 64, 3095005196], ['bilinear', 200, 301, 61, 64, 3623676642],
    ['bicubic', 200, 301, 61, 64, 1088420252], ['hamming', 200, 301, 61, 64, 1605231589],
  ])('%s of %i x %i to %i x %i is to the bit what Pillow makes', (way, h, w, height, width, sum) => {
    const result = resample(source(h, w), height, width, way)
    expect([result.height, result.width, result.bytes.length]).toEqual([height, width, height * width * 3])
    expect(crc32(result.bytes)).toBe(sum)
  })

  it('gives a picture of that size back as it is', () => {
    const same = source(4, 5)
    expect(resample(same, 4, 5, 'bicubic')).toBe(same)
  })
})

const jpeg = Buffer.from(
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAUABoDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDo9RvovsHQdK8/e+i/tDoOtd7qOnL9g69q8/fTl/tDr3rHBTp/W37pryf7H8R6DpN9F9h6DpVGS+i8xuB1NW9J05fsPXtVF9OXzG57mubMp0/bv3QyuH7t+8T6jcy/YPvdq8/e6l/tD73eiivWwS/2tnP/AMwZ32k3Mv2EfN2qi9zL5jfN3NFFcuZL9+wyv+Gz/9k=',
  'base64',
)
const webp = Buffer.from(
  'UklGRpwAAABXRUJQVlA4IJAAAAAwBQCdASoaABQAPu1gp02ppSOiMBgMATAdiWwAnTKEcAAN4AT9DouwJO1YHXFzrBkhgAD+6B0PTlKlpEuDCHHGbSQMz/p040n0Yx1VfeNppU4XblSRhm3gxKj3gPkr8D99jp1DmEkgjNpsaNuPPeGH0EVp3iTc5G0rOpdAg97Uc9EfVTkmbOcsBGhaafYAAAA=',
  'base64',
)
const transparent = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAUAAAAECAYAAABGM/VAAAAAWElEQVR4nAXBUQqCUBCG0evlFyLmA4WehBZz19pS2kcP4YNvio2QzECd0z1ez3K3laku3L4ztr5R2NjSCllPUgcZH+QamuuH15OLnNLvaEtrZHCtjtKIMP6fJyGz6zPBKgAAAABJRU5ErkJggg==',
  'base64',
)

describe('the feature image', () => {
  it.each<[string, Buffer, Input, readonly number[], number]>([
    ['JPEG', jpeg, { resize: [20, 26] }, [3, 20, 26], 1832520328],
    ['JPEG in grey', jpeg, { resize: [20, 26], channels: 1 }, [1, 20, 26], 291555735],
    [
      'JPEG, shorter edge and middle',
      jpeg,
      { resize: 15, centerCrop: 12 },
      [3, 12, 12],
      3636077287,
    ],
    [
      'JPEG in grey, bicubic',
      jpeg,
      { resize: 15, centerCrop: 12, channels: 1, interpolation: 'bicubic' },
      [1, 12, 12],
      469598248,
    ],
    ['WebP', webp, { resize: [20, 26] }, [3, 20, 26], 2561915083],
    [
      'WebP, shorter edge and middle',
      webp,
      { resize: 15, centerCrop: 12 },
      [3, 12, 12],
      1985436900,
    ],
    ['PNG without its transparency', transparent, { resize: [4, 5] }, [3, 4, 5], 854717701],
    ['PNG on black', transparent, { resize: [4, 5], alpha: 'black' }, [3, 4, 5], 2322487531],
    ['PNG on white', transparent, { resize: [4, 5], alpha: 'white' }, [3, 4, 5], 3677426517],
  ])('makes of %s what Pillow makes', async (_, file, given, shape, sum) => {
    const result = await encode(given, file)
    expect(result.shape).toEqual(shape)
    expect(result.dtype).toBe('uint8')
    expect(crc32(result.bytes)).toBe(sum)
  })

  it.each(['png', 'jpeg', 'webp', 'gif', 'tiff', 'avif'] as const)('reads %s', async (format) => {
    const file = await plain(16, 16, [200, 200, 200]).toFormat(format).toBuffer()
    const { bytes } = await encode({ resize: [16, 16] }, file)
    expect(Math.max(...bytes.map((byte) => Math.abs(byte - 200)))).toBeLessThanOrEqual(2)
  })

  it('reads files, paths in the folder and bytes', async () => {
    const path = join(folder, 'one.png')
    writeFileSync(path, await plain(2, 2).png().toBuffer())
    const expected = [10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30]
    expect([...(await encode({ resize: 2, centerCrop: 2 }, { path })).bytes]).toEqual(expected)
    expect([...(await encode({ resize: [2, 2] }, 'one.png')).bytes]).toEqual(expected)
    expect([...(await encode({ resize: [2, 2] }, './one.png')).bytes]).toEqual(expected)
    expect([
      ...(await encode({ resize: [2, 2], folder: '.' }, await plain(2, 2).png().toBuffer())).bytes,
    ]).toEqual(expected)
  })

  it('takes only the first picture of an animation', async () => {
    const pages = await sharp(
      [
        await plain(2, 2, [0, 0, 0]).png().toBuffer(),
        await plain(2, 2, [255, 255, 255]).png().toBuffer(),
      ],
      { join: { animated: true } },
    )
      .webp({ lossless: true })
      .toBuffer()
    expect((await sharp(pages).metadata()).pages).toBe(2)
    expect([...(await encode({}, pages, [pages])).bytes]).toEqual(new Array(12).fill(0))
  })

  it('turns images by their EXIF data only where asked to', async () => {
    const file = await plain(2, 4).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    expect((await encode({}, file, [file])).shape).toEqual([3, 2, 4])
    expect((await encode({ orient: true }, file, [file])).shape).toEqual([3, 4, 2])
  })

  const bars = picture(2, 4, 1, (_, x) => 10 * (x + 1))
  const grey = async () =>
    await encoded({ ...bars, channels: 1 } as Pixels)
      .png()
      .toBuffer()
  // biome-ignore format: pictures
  it.each<[string, Input, readonly number[]]>([
    ['centerCrop smaller', { centerCrop: [2, 2] }, [20, 30, 20, 30]],
    // (4 - 3) / 2 = 0.5 is rounded to 0.
    ['centerCrop by an odd number', { centerCrop: [1, 3] }, [10, 20, 30]],
    ['centerCrop larger', { centerCrop: [3, 4], fill: 9 }, [10, 20, 30, 40, 10, 20, 30, 40, 9, 9, 9, 9]],
    ['pad', { pad: [3, 5], fill: 7 }, [10, 20, 30, 40, 7, 10, 20, 30, 40, 7, 7, 7, 7, 7, 7]],
    ['pad at the corner', { pad: [3, 4], place: 'top-left' }, [10, 20, 30, 40, 10, 20, 30, 40, 0, 0, 0, 0]],
    ['letterbox', { letterbox: 4, fill: 255 }, [255, 255, 255, 255, 10, 20, 30, 40, 10, 20, 30, 40, 255, 255, 255, 255]],
    ['letterbox, smaller', { letterbox: [2, 2], interpolation: 'box' }, [15, 35, 0, 0]],
    ['resize to the shorter edge', { resize: 1, interpolation: 'box' }, [15, 35]],
  ])('%s', async (_, given, expected) => {
    const file = await grey()
    expect([...(await encode({ channels: 1, ...given }, file, [file])).bytes]).toEqual(expected)
  })

  it('refuses images of several sizes without a policy and names both', async () => {
    const sizes = [
      [4, 6],
      [4, 7],
    ] as const
    for (const [height, width] of sizes)
      writeFileSync(join(folder, `${width}.png`), await plain(height, width).png().toBuffer())
    const reading = encode({}, '6.png', ['6.png', '7.png'])
    await expect(reading).rejects.toThrow(UserError)
    await expect(reading).rejects.not.toThrow(DamagedError)
    await expect(reading).rejects.toThrow(
      /images of several sizes: .*6\.png has 4 x 6 pixels, .*7\.png has 4 x 7 pixels — give a policy: resize/,
    )
    const learner = await image.learn!(options({}), column('text'))
    await learner.observe(['6.png'])
    await expect(learner.observe(['7.png'])).rejects.toThrow(UserError)
    expect(() => learner.finish()).toThrow(/images of several sizes/)
    await expect(encode({}, '7.png', ['6.png'])).rejects.toThrow(DamagedError)
    await expect(encode({}, '7.png', ['6.png'])).rejects.toThrow(
      /7\.png: has another size than the training images: 4 x 7 pixels where they have 4 x 6 pixels/,
    )
    await expect(encode({}, '6.png')).rejects.toThrow(/no training sample could be read/)
  })

  it('says that a file is damaged, and accepts what it is told to', async () => {
    const noise = picture(64, 64, 3, (y, x, c) => (x * 7919 + y * 104729 + c * 31) % 251)
    const file = await encoded(noise).jpeg().toBuffer()
    const cut = file.subarray(0, file.length / 2)
    const flipped = Buffer.from(file)
    flipped.set([0xff, 0xd9], file.length >> 1)
    const given = { resize: [64, 64] } as const
    for (const bad of [cut, flipped]) {
      await expect(encode(given, bad)).rejects.toThrow(DamagedError)
      await expect(encode(given, bad)).rejects.toThrow(/^column 'image': damaged image: .* — /)
      expect((await encode({ ...given, failOn: 'none' }, bad)).shape).toEqual([3, 64, 64])
    }
    await expect(encode({ ...given, failOn: 'truncated' }, cut)).rejects.toThrow(DamagedError)
    expect((await encode({ ...given, failOn: 'truncated' }, flipped)).shape).toEqual([3, 64, 64])
  })

  it.each<[string, Cell]>([
    ['no image', Buffer.from('hello, this is text')],
    ['an empty file', new Uint8Array()],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>')],
    ['nothing but a start', Buffer.from([0xff, 0xd8, 0xff, 0xe0])],
    ['a missing file', { path: join(folder, 'none.png') }],
    ['a folder', { path: folder }],
  ])('refuses %s as damaged', async (_, cell) => {
    await expect(encode({ resize: [4, 4] }, cell)).rejects.toThrow(DamagedError)
    await expect(encode({}, cell, [cell])).rejects.toThrow(DamagedError)
  })

  it('refuses missing cells as damaged', async () => {
    const encoder = await image.prepare(options({ resize: [4, 4] }), null, column('file'))
    await expect(encoder.encode([null], [new Uint8Array(48)])).rejects.toThrow(
      /column 'image': no image: the cell is empty/,
    )
  })

  it('refuses more pixels than it may read or make, before memory is set aside', async () => {
    const file = await plain(50, 40).png().toBuffer()
    await expect(encode({ resize: [4, 4], maximumPixels: 1999 }, file)).rejects.toThrow(
      /too large an image: 50 x 40 pixels/,
    )
    expect((await encode({ resize: [4, 4], maximumPixels: 2000 }, file)).shape).toEqual([3, 4, 4])
    const line = await plain(1, 16000).png().toBuffer()
    await expect(encode({ resize: 256, centerCrop: 256 }, line)).rejects.toThrow(
      /resizing gives too large an image: 1 x 16000 pixels to 256 x 4096000 pixels/,
    )
    // The header of a PNG that claims 60,000 x 60,000 pixels.
    const bomb = Buffer.from(await plain(1, 1).png().toBuffer())
    bomb.writeUInt32BE(60000, 16)
    bomb.writeUInt32BE(60000, 20)
    await expect(encode({ resize: [4, 4] }, bomb)).rejects.toThrow(DamagedError)
  })

  it.each(['../outside.png', '/etc/passwd', 'a/../../b.png', 'link.png'])(
    'refuses a path out of the folder: %s',
    async (path) => {
      const outside = join(temporaryFolder(), 'real.png')
      writeFileSync(outside, await plain(2, 2).png().toBuffer())
      if (path === 'link.png') symlinkSync(outside, join(folder, path))
      const reading = encode({ resize: [4, 4] }, path)
      await expect(reading).rejects.toThrow(/a path leads out of the folder/)
      await expect(reading).rejects.not.toThrow(DamagedError)
    },
  )

  it('refuses what it cannot work with', async () => {
    const context = column('number')
    const settled = options({ resize: [4, 4] })
    expect(() => image.columns(settled, context)).toThrow(
      "data.features: column 'image' holds number cells, not file or text or bytes — choose another kind of feature for it",
    )
    expect(() => image.columns(options({ column: 'x' }), context)).toThrow(
      "data.features: no column 'x' — known: image",
    )
    const file = await plain(8, 8).png().toBuffer()
    await expect(encode({ pad: 4 }, file)).rejects.toThrow(/larger than pad: 8 x 8 pixels/)
    await expect(encode({ pad: 9, fill: [1, 2] }, file)).rejects.toThrow(/fill: the images have 3/)
    expect(imageOptions.safeParse({ kind: 'image', center_crop: 4 }).success).toBe(false)
  })
})
