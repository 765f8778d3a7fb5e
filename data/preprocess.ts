// From bytes to what a model takes: value = (byte * scale - mean) / std per channel, with a
// border where asked for.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { ImageShape } from './readers/reader.ts'

const perChannel = <Value extends z.ZodNumber>(value: Value) =>
  z.union([value, z.array(value).min(1)], {
    error: 'expected a number, or a list with one for each channel',
  })

/** Schema of `data.preprocess`. */
export const preprocessOptions = z
  .strictObject({
    scale: z
      .number()
      .positive()
      .default(1 / 255)
      .describe('Each byte is multiplied by this first; the default 1/255 gives 0..1.'),
    mean: perChannel(z.number())
      .default(0)
      .describe('Subtracted after scaling: one number, or one for each channel.'),
    std: perChannel(z.number().positive())
      .default(1)
      .describe('Divides after the mean is subtracted: one number, or one for each channel.'),
    pad: z
      .int()
      .min(0)
      .max(256)
      .default(0)
      .describe('Black pixels added on each of the four sides, in pixels.'),
  })
  .describe('How bytes become numbers: value = (byte * scale - mean) / std.')

/** Resolved options of `data.preprocess`. */
export type PreprocessOptions = z.output<typeof preprocessOptions>

/** Preprocessing made ready for images of one shape. */
export interface Preprocessing {
  /** Shape of an image in the file. */
  readonly from: ImageShape
  /** Shape of an image after padding. */
  readonly to: ImageShape
  readonly pad: number
  /** The value of each byte, `[C, 256]`. */
  readonly table: Float32Array
  /** The value of byte 0 of each channel, `[C]`. */
  readonly background: Float32Array
  /** The value of byte 255 of each channel, `[C]`. */
  readonly white: Float32Array
}

/**
 * Works out the value of every byte in every channel; lists that do not fit the channels are a
 * {@link UserError}.
 */
export function preprocessing(from: ImageShape, options: PreprocessOptions): Preprocessing {
  const [channels, height, width] = from
  const { scale, pad } = options
  const mean = spread('mean', options.mean, channels)
  const std = spread('std', options.std, channels)
  const table = Float32Array.from(
    { length: channels * 256 },
    (_, at) => ((at & 255) * scale - mean[at >> 8]!) / std[at >> 8]!,
  )
  const valuesOfByte = (byte: number) =>
    Float32Array.from({ length: channels }, (_, channel) => table[channel * 256 + byte]!)
  return {
    from,
    to: [channels, height + 2 * pad, width + 2 * pad],
    pad,
    table,
    background: valuesOfByte(0),
    white: valuesOfByte(255),
  }
}

/** Writes one image of bytes, starting at `start`, as values to `into` from `offset` on. */
export function preprocess(
  { from: [channels, height, width], to, pad, table, background }: Preprocessing,
  samples: Uint8Array,
  start: number,
  into: Float32Array,
  offset: number,
): void {
  const plane = height * width
  if (pad === 0) {
    for (let channel = 0, at = start, to = offset; channel < channels; channel++) {
      const base = channel << 8
      for (const end = at + plane; at < end; ) into[to++] = table[base + samples[at++]!]!
    }
    return
  }
  const [, paddedHeight, paddedWidth] = to
  for (let channel = 0, at = start; channel < channels; channel++) {
    const base = channel << 8
    const first = offset + channel * paddedHeight * paddedWidth
    into.fill(background[channel]!, first, first + paddedHeight * paddedWidth)
    for (let row = 0; row < height; row++) {
      let target = first + (row + pad) * paddedWidth + pad
      for (const end = at + width; at < end; ) into[target++] = table[base + samples[at++]!]!
    }
  }
}

function spread(name: string, value: number | readonly number[], channels: number) {
  if (typeof value === 'number') return new Array<number>(channels).fill(value)
  if (value.length !== channels)
    throw new UserError(
      `data.preprocess.${name}: the images have ${channels} channels: ${value.length} values — give one number, or one for each channel`,
    )
  return value
}
