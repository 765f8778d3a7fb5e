// Augmentations of brightness and colour. They act on brightness 0 (black) to 1 (white), so that
// what preprocessing did is undone before and done again after.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { between, defineAugmentation, type Image, type ImageFacts } from './augmentation.ts'
import { hueTurned } from './hue.ts'
import { probability, probabilityOf } from './options.ts'

const strength = z.number().min(0).max(100).default(0)

/** Luma of red, green and blue (ITU-R BT.601). */
const luma = [0.299, 0.587, 0.114] as const

/** Brightness, contrast, saturation and hue in random order. */
export const colorJitter = defineAugmentation({
  option: z
    .strictObject({
      brightness: strength.describe('Multiplies by a factor from 1 - this to 1 + this.'),
      contrast: strength.describe('The same for the distance to the mean grey.'),
      saturation: strength.describe('The same for the distance to the grey of the pixel.'),
      hue: z
        .number()
        .min(0)
        .max(0.5)
        .default(0)
        .describe('Turns the hue by up to this share of the colour circle either way.'),
    })
    .describe('Changes brightness, contrast, saturation and hue, in random order.'),
  settings: (option) => (Object.values(option).some((amount) => amount > 0) ? option : undefined),
  check(_, { channels }) {
    checkColours('augment.colorJitter', channels)
  },
  apply(image, option, random) {
    const { brightness, contrast, saturation, hue } = option
    const around = (amount: number) => between(random, Math.max(0, 1 - amount), 1 + amount)
    const coloured = image.channels === 3
    const changes = [
      brightness > 0 ? () => brighten(image, around(brightness)) : undefined,
      contrast > 0 ? () => blend(image, around(contrast), meanGrey(image)) : undefined,
      saturation > 0 && coloured ? () => blend(image, around(saturation)) : undefined,
      hue > 0 && coloured ? () => turnHue(image, between(random, -hue, hue)) : undefined,
    ]
    for (const index of random.permutation(changes.length)) changes[index]?.()
  },
})

/** Takes the colour away. */
export const grayscale = defineAugmentation({
  option: probability.describe('Takes the colour away with this probability, 0..1; true is 0.5.'),
  settings: probabilityOf,
  check(_, { channels }) {
    checkColours('augment.grayscale', channels)
  },
  apply(image, often, random) {
    if (random.uniform() < often && image.channels === 3) blend(image, 0)
  },
})

/** Adds Gaussian noise to every value. */
export const noise = defineAugmentation({
  option: z
    .number()
    .min(0)
    .max(1)
    .describe('Adds Gaussian noise of this standard deviation, where 1 is from black to white.'),
  settings: (deviation) => deviation || undefined,
  apply(image, deviation, random: Random) {
    everyValue(image, (brightness) => brightness + deviation * random.normal())
  },
})

function checkColours(where: string, channels: number): void {
  if (channels !== 1 && channels !== 3)
    throw new UserError(
      `${where}: needs grey or red, green and blue: images of ${channels} channels — leave it out`,
    )
}

const clamped = (brightness: number) => Math.min(Math.max(brightness, 0), 1)

/** What brings a value to brightness and back: brightness = (value - black) / span. */
function scaleOf({ background, white }: ImageFacts, channel: number) {
  const black = background[channel]!
  return { black, span: white[channel]! - black }
}

/** Changes the brightness of every value on its own; the result is clamped to 0..1. */
function everyValue(image: Image, change: (brightness: number) => number): void {
  const { values, offset, channels, height, width } = image
  const plane = height * width
  for (let channel = 0; channel < channels; channel++) {
    const { black, span } = scaleOf(image, channel)
    const start = offset + channel * plane
    for (let at = start; at < start + plane; at++)
      values[at] = black + span * clamped(change((values[at]! - black) / span))
  }
}

const brighten = (image: Image, factor: number) =>
  everyValue(image, (brightness) => brightness * factor)

/** How bright each pixel is, in the scratch memory. */
function greys(image: Image): Float32Array {
  const { values, offset, channels, height, width, scratch } = image
  const plane = height * width
  const grey = scratch.subarray(0, plane).fill(0)
  for (let channel = 0; channel < channels; channel++) {
    const { black, span } = scaleOf(image, channel)
    const weight = (channels === 3 ? luma[channel]! : 1) / span
    const start = offset + channel * plane
    for (let at = 0; at < plane; at++) grey[at]! += weight * (values[start + at]! - black)
  }
  return grey
}

function meanGrey(image: Image): number {
  const grey = greys(image)
  let sum = 0
  for (let at = 0; at < grey.length; at++) sum += grey[at]!
  return sum / grey.length
}

/** Moves every value towards a grey, that of its pixel unless told; 0 arrives there, 1 stays. */
function blend(image: Image, factor: number, target?: number): void {
  const { values, offset, channels, height, width } = image
  const plane = height * width
  const grey = target === undefined ? greys(image) : undefined
  for (let channel = 0; channel < channels; channel++) {
    const { black, span } = scaleOf(image, channel)
    const start = offset + channel * plane
    for (let at = 0; at < plane; at++) {
      const brightness = (values[start + at]! - black) / span
      const towards = (1 - factor) * (grey ? grey[at]! : target!)
      values[start + at] = black + span * clamped(factor * brightness + towards)
    }
  }
}

function turnHue(image: Image, turn: number): void {
  const { values, offset, height, width } = image
  const plane = height * width
  const [red, green, blue] = [scaleOf(image, 0), scaleOf(image, 1), scaleOf(image, 2)]
  const pixel = new Float64Array(3)
  for (let at = offset; at < offset + plane; at++) {
    pixel[0] = clamped((values[at]! - red.black) / red.span)
    pixel[1] = clamped((values[at + plane]! - green.black) / green.span)
    pixel[2] = clamped((values[at + 2 * plane]! - blue.black) / blue.span)
    hueTurned(pixel, turn)
    values[at] = red.black + red.span * pixel[0]!
    values[at + plane] = green.black + green.span * pixel[1]!
    values[at + 2 * plane] = blue.black + blue.span * pixel[2]!
  }
}
