// Resampling to the bit as Pillow does it for 8-bit images (its Resample.c and Geometry.c), for models on the Hub and in
// torchvision have learned from pictures that went through it. Antialiasing is a part of it: where a picture is made
// smaller, the kernel is made as much wider. Each direction is a pass of its own, horizontal first, in fixed point.
import { blank, type Pixels } from './pixels.ts'

interface Kernel {
  /** How far the kernel reaches from its middle, in pixels of the smaller picture. */
  readonly support: number
  weight(distance: number): number
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI))

/** Parameter of the cubic convolution (Keys 1981), as Pillow and PyTorch with antialiasing have it. */
const cubic = -0.5

function cubicWeight(distance: number): number {
  const x = Math.abs(distance)
  if (x < 1) return ((cubic + 2) * x - (cubic + 3)) * x * x + 1
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * cubic : 0
}

const kernels = {
  box: { support: 0.5, weight: (x: number) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    weight: (x: number) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(x * Math.PI)) : 0),
  },
  bicubic: { support: 2, weight: cubicWeight },
  lanczos: { support: 3, weight: (x: number) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const satisfies Record<string, Kernel>

/** Ways to resize, named as Pillow and torchvision name them; `nearest` alone mixes no pixels. */
export const interpolations = [
  'bilinear',
  'bicubic',
  'lanczos',
  'nearest',
  'box',
  'hamming',
] as const

/** One of {@link interpolations}. */
export type Interpolation = (typeof interpolations)[number]

/** Resizes a picture; one of that size is given back as it is. */
export function resample(
  picture: Pixels,
  height: number,
  width: number,
  interpolation: Interpolation,
): Pixels {
  if (picture.height === height && picture.width === width) return picture
  if (interpolation === 'nearest') return nearest(picture, height, width)
  const kernel = kernels[interpolation]
  const wide = width === picture.width ? picture : horizontal(picture, width, kernel)
  return height === picture.height ? wide : vertical(wide, height, kernel)
}

/** Each pixel is the one that lies under its middle. */
function nearest(picture: Pixels, height: number, width: number): Pixels {
  const { channels, bytes } = picture
  const result = blank(height, width, channels)
  const columns = middles(picture.width, width)
  let to = 0
  for (const row of middles(picture.height, height))
    for (const column of columns) {
      const from = (row * picture.width + column) * channels
      for (let channel = 0; channel < channels; channel++)
        result.bytes[to++] = bytes[from + channel]!
    }
  return result
}

/** Added up step by step as Pillow does, for the sum's rounding decides between two pixels as near. */
function middles(from: number, to: number): Int32Array {
  const step = from / to
  let middle = step * 0.5
  return Int32Array.from({ length: to }, () => {
    const at = Math.min(from - 1, Math.trunc(middle))
    middle += step
    return at
  })
}

/** What each pixel of the result is made of. */
interface Weights {
  /** At most so many pixels. */
  readonly size: number
  /** The first pixel that counts, for each of the result. */
  readonly first: Int32Array
  /** How many pixels count. */
  readonly count: Int32Array
  /** Weights in fixed point, `[result, size]`; they add up to 2²² but for rounding. */
  readonly values: Int32Array
}

const fractionBits = 22
const half = 1 << (fractionBits - 1)

function weightsOf(from: number, to: number, { support, weight }: Kernel): Weights {
  const scale = from / to
  const stretch = Math.max(1, scale)
  const reach = support * stretch
  const size = Math.ceil(reach) * 2 + 1
  const first = new Int32Array(to)
  const count = new Int32Array(to)
  const values = new Int32Array(to * size)
  for (let at = 0; at < to; at++) {
    const middle = (at + 0.5) * scale
    const low = Math.max(0, Math.trunc(middle - reach + 0.5))
    const high = Math.min(from, Math.trunc(middle + reach + 0.5))
    const shares = Array.from({ length: high - low }, (_, index) =>
      weight((index + low - middle + 0.5) * (1 / stretch)),
    )
    const sum = shares.reduce((total, share) => total + share, 0)
    first[at] = low
    count[at] = shares.length
    for (const [index, share] of shares.entries()) {
      const exact = (sum === 0 ? share : share / sum) * (1 << fractionBits)
      values[at * size + index] = Math.trunc(exact + (exact < 0 ? -0.5 : 0.5))
    }
  }
  return { size, first, count, values }
}

const byteOf = (sum: number) => {
  const value = sum >> fractionBits
  return value < 0 ? 0 : value > 255 ? 255 : value
}

function horizontal(
  { height, width: from, channels, bytes }: Pixels,
  width: number,
  kernel: Kernel,
) {
  const { size, first, count, values } = weightsOf(from, width, kernel)
  const result = blank(height, width, channels)
  let to = 0
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const start = (row * from + first[column]!) * channels
      const end = column * size + count[column]!
      for (let channel = 0; channel < channels; channel++) {
        let sum = half
        let at = start + channel
        for (let index = column * size; index < end; index++, at += channels)
          sum = (sum + Math.imul(bytes[at]!, values[index]!)) | 0
        result.bytes[to++] = byteOf(sum)
      }
    }
  return result
}

function vertical(
  { height: from, width, channels, bytes }: Pixels,
  height: number,
  kernel: Kernel,
) {
  const { size, first, count, values } = weightsOf(from, height, kernel)
  const result = blank(height, width, channels)
  const line = width * channels
  const sums = new Int32Array(line)
  for (let row = 0; row < height; row++) {
    sums.fill(half)
    for (let index = 0; index < count[row]!; index++) {
      const weight = values[row * size + index]!
      const start = (first[row]! + index) * line
      for (let at = 0; at < line; at++) sums[at] = sums[at]! + Math.imul(bytes[start + at]!, weight)
    }
    for (let at = 0; at < line; at++) result.bytes[row * line + at] = byteOf(sums[at]!)
  }
  return result
}
