// Augmentations that interpolate between pixels: a resized part, a rotation.
import { z } from 'zod'
import type { Random } from '../../base/random.ts'
import { between, copyOf, defineAugmentation } from './augmentation.ts'
import { range } from './options.ts'

const resizedCropSettings = z.strictObject({
  scale: range(0.08, 1, 1e-4, 1).describe('Share of the area that is cut out, from and to.'),
  ratio: range(3 / 4, 4 / 3, 0.01, 100).describe('Its width by its height, from and to.'),
})

/**
 * Cuts out a part and enlarges it to the size of the image, bilinearly (Szegedy et al. 2015,
 * section 6).
 */
export const resizedCrop = defineAugmentation({
  option: z
    .union([z.boolean(), resizedCropSettings], {
      error: `expected true, false, or 'scale' and 'ratio'`,
    })
    .describe('Enlarges a part of random size and shape to the size of the image.'),
  settings: (option) =>
    option === true ? resizedCropSettings.parse({}) : option === false ? undefined : option,
  apply(image, settings, random) {
    const { values, offset, channels, height, width } = image
    const part = partOf(height, width, settings, random)
    if (part.height === height && part.width === width) return
    const from = copyOf(image)
    const rows = samplesOf(height, part.height, part.top)
    const columns = samplesOf(width, part.width, part.left)
    let to = offset
    for (let channel = 0; channel < channels; channel++)
      for (let y = 0; y < height; y++) {
        const upper = (channel * height + rows.low[y]!) * width
        const lower = (channel * height + rows.high[y]!) * width
        const down = rows.share[y]!
        for (let x = 0; x < width; x++) {
          const left = columns.low[x]!
          const right = columns.high[x]!
          const across = columns.share[x]!
          const above = from[upper + left]! * (1 - across) + from[upper + right]! * across
          const below = from[lower + left]! * (1 - across) + from[lower + right]! * across
          values[to++] = above * (1 - down) + below * down
        }
      }
  },
})

/** A rectangle of pixels inside an image. */
export interface Part {
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
}

/** A part of random area, shape and place; the middle of the image where none fits after ten tries. */
function partOf(
  height: number,
  width: number,
  { scale, ratio }: z.output<typeof resizedCropSettings>,
  random: Random,
): Part {
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = height * width * between(random, ...scale)
    const shape = Math.exp(between(random, Math.log(ratio[0]), Math.log(ratio[1])))
    const wide = Math.round(Math.sqrt(area * shape))
    const high = Math.round(Math.sqrt(area / shape))
    if (wide < 1 || wide > width || high < 1 || high > height) continue
    const top = random.integer(height - high + 1)
    return { top, left: random.integer(width - wide + 1), height: high, width: wide }
  }
  const shape = Math.min(Math.max(width / height, ratio[0]), ratio[1])
  const wide = Math.max(1, Math.min(width, Math.round(height * shape)))
  const high = Math.max(1, Math.min(height, Math.round(width / shape)))
  return {
    top: Math.round((height - high) / 2),
    left: Math.round((width - wide) / 2),
    height: high,
    width: wide,
  }
}

/** Of `length` positions over a part: both neighbours of each, and the share of the second. */
function samplesOf(length: number, part: number, start: number) {
  const low = new Int32Array(length)
  const high = new Int32Array(length)
  const share = new Float64Array(length)
  for (let at = 0; at < length; at++) {
    // Centres of pixels lie on halves; beyond the outermost centres the edge goes on.
    const position = Math.min(Math.max(((at + 0.5) * part) / length - 0.5, 0), part - 1)
    const first = Math.floor(position)
    low[at] = start + first
    high[at] = start + Math.min(first + 1, part - 1)
    share[at] = position - first
  }
  return { low, high, share }
}

/** Turns about the middle, bilinearly; what comes in is black. */
export const rotate = defineAugmentation({
  option: z
    .number()
    .min(0)
    .max(180)
    .describe('Turns by up to so many degrees either way; what comes in is black.'),
  settings: (degrees) => degrees || undefined,
  apply(image, degrees, random) {
    const { values, offset, channels, height, width, background } = image
    const angle = (between(random, -degrees, degrees) * Math.PI) / 180
    const [cosine, sine] = [Math.cos(angle), Math.sin(angle)]
    const from = copyOf(image)
    const plane = height * width
    const [middleY, middleX] = [(height - 1) / 2, (width - 1) / 2]
    let to = offset
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, to++) {
        const sourceX = cosine * (x - middleX) - sine * (y - middleY) + middleX
        const sourceY = sine * (x - middleX) + cosine * (y - middleY) + middleY
        const left = Math.floor(sourceX)
        const top = Math.floor(sourceY)
        const across = sourceX - left
        const down = sourceY - top
        for (let channel = 0; channel < channels; channel++) {
          const empty = background[channel]!
          let value = 0
          for (let corner = 0; corner < 4; corner++) {
            const column = left + (corner & 1)
            const row = top + (corner >> 1)
            const within = column >= 0 && column < width && row >= 0 && row < height
            const weight = (corner & 1 ? across : 1 - across) * (corner >> 1 ? down : 1 - down)
            value += weight * (within ? from[channel * plane + row * width + column]! : empty)
          }
          values[to + channel * plane] = value
        }
      }
  },
})
