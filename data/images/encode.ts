// Pictures for people: numbers as pixels, and pixels as small files that a page can hold.
import type { Pixels } from './pixels.ts'

/** Larger pictures are made so small; no larger ones stay as they are. */
const largestEdge = 96

/** An image file, and the size that it is shown at. */
export interface Picture {
  readonly type: 'image/png' | 'image/jpeg'
  readonly bytes: Uint8Array
  readonly width: number
  readonly height: number
}

/**
 * A tensor as a picture, where it can be one: `[H, W]`, `[C, H, W]` or `[H, W, C]` of 1 or 3 channels.
 *
 * Bytes stay as they are, other numbers are spread from the least, black, to the largest, white.
 */
export function pixelsOf(shape: readonly number[], values: ArrayLike<number>): Pixels | undefined {
  const layout = layoutOf(shape)
  if (!layout) return undefined
  const { channels, height, width, isPlanes } = layout
  const scaled = bytesOf(values)
  if (!isPlanes || channels === 1) return { channels, height, width, bytes: scaled }
  const plane = height * width
  const bytes = Uint8Array.from(
    scaled,
    (_, at) => scaled[(at % channels) * plane + Math.floor(at / channels)]!,
  )
  return { channels, height, width, bytes }
}

/** Encodes a picture: a small one without loss, a larger one reduced, as JPEG. */
export async function encodePicture({ height, width, channels, bytes }: Pixels): Promise<Picture> {
  const { default: sharp } = await import('sharp')
  const image = sharp(bytes, { raw: { height, width, channels: channels as 1 | 3 } })
  const isSmall = Math.max(height, width) <= largestEdge
  const encoded = isSmall
    ? image.png({ compressionLevel: 9 })
    : image.resize(largestEdge, largestEdge, { fit: 'inside' }).jpeg({ quality: 80 })
  const { data, info } = await encoded.toBuffer({ resolveWithObject: true })
  const type = isSmall ? 'image/png' : 'image/jpeg'
  return { type, bytes: data, width: info.width, height: info.height }
}

function layoutOf(shape: readonly number[]) {
  const [first = 0, second = 0, third] = shape
  const isChannels = (count: number) => count === 1 || count === 3
  // A few numbers side by side are no picture.
  const isArea = (height: number, width: number) => height >= 4 && width >= 4
  if (shape.length === 2 && isArea(first, second))
    return { channels: 1, height: first, width: second, isPlanes: true }
  if (shape.length !== 3 || third === undefined) return undefined
  if (isChannels(first) && isArea(second, third))
    return { channels: first, height: second, width: third, isPlanes: true }
  if (isChannels(third) && isArea(first, second))
    return { channels: third, height: first, width: second, isPlanes: false }
  return undefined
}

function bytesOf(values: ArrayLike<number>): Uint8Array {
  if (values instanceof Uint8Array) return values
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (let at = 0; at < values.length; at++) {
    low = Math.min(low, values[at]!)
    high = Math.max(high, values[at]!)
  }
  const scale = high > low ? 255 / (high - low) : 0
  return Uint8Array.from(values, (value) => Math.round((value - low) * scale))
}
