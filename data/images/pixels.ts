// Decoded pictures, and what happens to their pixels besides resizing: alpha, grey, a canvas to cut out or fill up, planes.

/** A picture: bytes row by row, the channels of a pixel side by side, `[height, width, channels]`. */
export interface Pixels {
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly bytes: Uint8Array
}

/** What becomes of transparency: it is dropped as Pillow's `convert('RGB')` does, or the picture is laid on a colour. */
export const alphaRules = ['drop', 'black', 'white'] as const

/** One of {@link alphaRules}. */
export type AlphaRule = (typeof alphaRules)[number]

/** An empty picture, all zeros. */
export function blank(height: number, width: number, channels: number): Pixels {
  return { height, width, channels, bytes: new Uint8Array(height * width * channels) }
}

/**
 * Makes a picture of 1 (grey), 2 (grey, alpha), 3 or 4 channels one of 1 or 3.
 *
 * Grey is L = (19595 R + 38470 G + 7471 B + 2¹⁵) >> 16, ITU-R 601-2 luma in the fixed-point form of Pillow's `convert('L')`.
 */
export function withChannels(picture: Pixels, channels: 1 | 3, alpha: AlphaRule): Pixels {
  const { height, width, channels: given, bytes } = picture
  const hasAlpha = given === 2 || given === 4
  if (given === channels) return picture
  const result = blank(height, width, channels)
  const ground = alpha === 'white' ? 255 : 0
  const isGrey = given < 3
  const lay = (value: number, opacity: number) =>
    Math.round((value * opacity + ground * (255 - opacity)) / 255)
  for (let from = 0, to = 0; from < bytes.length; from += given, to += channels) {
    let red = bytes[from]!
    let green = isGrey ? red : bytes[from + 1]!
    let blue = isGrey ? red : bytes[from + 2]!
    if (hasAlpha && alpha !== 'drop') {
      const opacity = bytes[from + given - 1]!
      red = lay(red, opacity)
      green = lay(green, opacity)
      blue = lay(blue, opacity)
    }
    if (channels === 1)
      result.bytes[to] = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    else {
      result.bytes[to] = red
      result.bytes[to + 1] = green
      result.bytes[to + 2] = blue
    }
  }
  return result
}

/** Where a picture lies on a canvas: negative where it begins outside. */
export interface Placement {
  readonly top: number
  readonly left: number
}

/** Lays a picture on a canvas of another size: what hangs over is cut off, what stays free is filled, a byte a channel. */
export function onCanvas(
  picture: Pixels,
  height: number,
  width: number,
  { top, left }: Placement,
  fill: readonly number[],
): Pixels {
  const { channels } = picture
  const canvas = blank(height, width, channels)
  if (fill.some((value) => value !== 0))
    for (let at = 0; at < canvas.bytes.length; at++) canvas.bytes[at] = fill[at % channels]!
  const firstColumn = Math.max(0, left)
  const columns = Math.min(width, left + picture.width) - firstColumn
  if (columns <= 0) return canvas
  for (let row = Math.max(0, top); row < Math.min(height, top + picture.height); row++) {
    const start = ((row - top) * picture.width + firstColumn - left) * channels
    const line = picture.bytes.subarray(start, start + columns * channels)
    canvas.bytes.set(line, (row * width + firstColumn) * channels)
  }
  return canvas
}

/** Writes a picture as planes, `[channels, height, width]`. */
export function writePlanes({ channels, bytes }: Pixels, into: Uint8Array): void {
  const plane = bytes.length / channels
  for (let channel = 0, to = 0; channel < channels; channel++)
    for (let at = channel, end = to + plane; to < end; at += channels) into[to++] = bytes[at]!
}
