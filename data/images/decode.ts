// Decoding image files that are not trusted, through sharp: nothing is set aside before the size in the header is checked.
import type { Sharp, SharpConstructor } from 'sharp'
import { messageOf, UserError } from '../../base/errors.ts'
import { DamagedError } from '../damaged.ts'
import { imageFormat } from './formats.ts'
import type { Pixels } from './pixels.ts'

/** How much damage ends the reading of a file, as sharp's `failOn`: each refuses what those before it refuse, and more. */
export const failures = ['none', 'truncated', 'error', 'warning'] as const

/** How files are decoded. */
export interface DecodeOptions {
  readonly failOn: (typeof failures)[number]
  /** Whether the picture is turned as its EXIF data tells. */
  readonly orient: boolean
  /** More pixels are refused. */
  readonly maximumPixels: number
}

/**
 * Decodes a file to 3 channels, or 4 where it has transparency; of an animation, its first picture.
 *
 * The pixels are Pillow's to the bit, but for CMYK (turned by a colour profile here) and 16 bits of grey (of which the
 * upper 8 are kept here, while Pillow clips them); profiles in files are ignored as Pillow ignores them. What cannot be
 * decoded is a {@link DamagedError}.
 */
export async function decode(
  bytes: Uint8Array,
  where: string,
  options: DecodeOptions,
): Promise<Pixels> {
  const image = await open(bytes, where, options)
  try {
    const { data, info } = await (options.orient ? image.autoOrient() : image)
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const { height, width, channels } = info
    return { height, width, channels, bytes: data }
  } catch (thrown) {
    throw explain(where, thrown)
  }
}

/** Height and width by the header of a file, without decoding its pixels. */
export async function sizeOfImage(
  bytes: Uint8Array,
  where: string,
  options: DecodeOptions,
): Promise<readonly [height: number, width: number]> {
  const image = await open(bytes, where, options)
  try {
    const { autoOrient, height, width } = await image.metadata()
    return options.orient ? [autoOrient.height, autoOrient.width] : [height, width]
  } catch (thrown) {
    throw explain(where, thrown)
  }
}

async function open(bytes: Uint8Array, where: string, options: DecodeOptions): Promise<Sharp> {
  if (imageFormat(bytes) === undefined)
    throw new DamagedError(
      `${where}: not an image that can be read: ${describeStart(bytes)} — give JPEG, PNG, WebP, GIF, TIFF or AVIF, or leave it out with damaged: skip`,
    )
  const sharp = await loadSharp()
  const { failOn, maximumPixels } = options
  const facts = { failOn, ignoreIcc: true, pages: 1, sequentialRead: true } as const
  try {
    const { height, width } = await sharp(bytes, { ...facts, limitInputPixels: false }).metadata()
    if (height * width > maximumPixels)
      throw new DamagedError(
        `${where}: too large an image: ${height} x ${width} pixels — make it smaller, or raise maximumPixels, which is ${maximumPixels}`,
      )
    return sharp(bytes, { ...facts, limitInputPixels: maximumPixels })
  } catch (thrown) {
    throw explain(where, thrown)
  }
}

let loaded: Promise<SharpConstructor> | undefined

/** Loads sharp when the first image is read. Images are decoded side by side, each by one thread, and none is kept. */
function loadSharp(): Promise<SharpConstructor> {
  loaded ??= import('sharp').then(({ default: sharp }) => {
    sharp.cache(false)
    sharp.concurrency(1)
    return sharp
  })
  return loaded
}

const describeStart = (bytes: Uint8Array) =>
  bytes.length === 0
    ? 'it is empty'
    : `it begins with ${Buffer.from(bytes.subarray(0, 4)).toString('hex')}`

function explain(where: string, thrown: unknown): unknown {
  if (thrown instanceof UserError) return thrown
  const [line = ''] = messageOf(thrown).trim().split('\n')
  return new DamagedError(
    `${where}: damaged image: ${line} — replace the file, leave it out with damaged: skip, or accept it with failOn: none`,
    { cause: thrown },
  )
}
