// From stored samples to what a model takes: value = (stored * scale - mean) / std per channel, a border where asked for,
// and at last the layout and the order of colours. It belongs to the model: training, calibration, benchmarks and the
// baked graph (stages/bake.ts) all work from the same `Preprocessing`.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { lengthOf } from '../base/samples.ts'

const perChannel = <Value extends z.ZodNumber>(value: Value) =>
  z.union([value, z.array(value).min(1)], {
    error: 'expected a number, or a list with one for each channel',
  })

/** Schema of `preprocess`. */
export const preprocessOptions = z
  .strictObject({
    scale: z
      .number()
      .positive()
      .optional()
      .describe(
        'Each value is multiplied by this first; unless given, bytes by 1/255, which gives 0..1, and floats by 1.',
      ),
    mean: perChannel(z.number())
      .default(0)
      .describe(
        'Subtracted after scaling: one number, or one for each channel in the order of the data (red, green, blue), whatever colour says.',
      ),
    std: perChannel(z.number().positive())
      .default(1)
      .describe(
        'Divides after the mean is subtracted: one number, or one for each channel as mean.',
      ),
    pad: z
      .int()
      .min(0)
      .max(256)
      .default(0)
      .describe('Black pixels added on each of the four sides, in pixels.'),
    layout: z
      .enum(['nchw', 'nhwc'])
      .default('nchw')
      .describe(
        'Whether the model takes images as planes, or with the channels of a pixel side by side.',
      ),
    colour: z
      .enum(['rgb', 'bgr'])
      .default('rgb')
      .describe("Order of the model's channels; Hugging Face's do_flip_channel_order is bgr."),
  })
  .describe('How samples become numbers: value = (sample * scale - mean) / std.')

/** Resolved options of `preprocess`. */
export type PreprocessOptions = z.output<typeof preprocessOptions>

/** Preprocessing made ready for samples of one shape; plain data, so that it can be posted to a thread. */
export interface Preprocessing {
  /** Shape of a stored sample: `[C, H, W]` for images, any other has no channels. */
  readonly from: readonly number[]
  /** What is stored. */
  readonly stored: 'uint8' | 'float32'
  /** Shape that {@link preprocess} writes: `from` and the border. */
  readonly to: readonly number[]
  /** Shape of a sample as the model sees it, after {@link arrange}. */
  readonly shape: readonly number[]
  readonly pad: number
  readonly layout: 'nchw' | 'nhwc'
  readonly colour: 'rgb' | 'bgr'
  readonly scale: number
  /** Of each channel in the order of the data, `[C]`; of the one channel where samples are no images. */
  readonly mean: readonly number[]
  /** As `mean`. */
  readonly std: readonly number[]
  /** The value of each byte, `[C, 256]`; empty where floats are stored. */
  readonly table: Float32Array
  /** The value of 0 in each channel, `[C]`. */
  readonly background: Float32Array
  /** The value of white in each channel, `[C]`: of byte 255, or of a float that scaling makes 1. */
  readonly white: Float32Array
}

/**
 * Works out what preprocessing does to samples of a shape.
 *
 * Lists that do not fit the channels, and options for images where samples are none, are a {@link UserError}.
 */
export function preprocessing(
  from: readonly number[],
  options: PreprocessOptions,
  stored: Preprocessing['stored'] = 'uint8',
): Preprocessing {
  const { scale = stored === 'uint8' ? 1 / 255 : 1, pad, layout, colour } = options
  const [channels, height, width] = planesOf(from)
  if (from.length !== 3) {
    const option = pad > 0 ? 'pad' : layout === 'nhwc' ? 'layout' : colour === 'bgr' && 'colour'
    if (option)
      throw new UserError(
        `preprocess.${option}: is for images [C, H, W]: samples are [${from.join(', ')}] — leave it out`,
      )
  }
  if (colour === 'bgr' && channels !== 3)
    throw new UserError(
      `preprocess.colour: bgr needs images of 3 channels: they have ${channels} — leave it out`,
    )
  const mean = spread('mean', options.mean, channels)
  const std = spread('std', options.std, channels)
  const valuesOf = (value: number) =>
    Float32Array.from(mean, (subtracted, channel) => (value * scale - subtracted) / std[channel]!)
  const to = from.length === 3 ? [channels, height + 2 * pad, width + 2 * pad] : from
  return {
    ...{ from, stored, to, pad, layout, colour, scale, mean, std },
    shape: layout === 'nhwc' ? [to[1]!, to[2]!, to[0]!] : to,
    table: Float32Array.from(
      { length: stored === 'uint8' ? channels * 256 : 0 },
      (_, at) => ((at & 255) * scale - mean[at >> 8]!) / std[at >> 8]!,
    ),
    background: valuesOf(0),
    white: valuesOf(stored === 'uint8' ? 255 : 1 / scale),
  }
}

/**
 * Writes one stored sample, which begins at `start`, as values to `into` from `offset` on: planes in the order of the
 * data, as augmentations need them.
 */
export function preprocess(
  facts: Preprocessing,
  samples: Uint8Array | Float32Array,
  start: number,
  into: Float32Array,
  offset: number,
): void {
  const { from, to, pad, table, background, scale, mean, std } = facts
  const [channels, height, width] = planesOf(from)
  const [, paddedHeight, paddedWidth] = planesOf(to)
  const plane = paddedHeight * paddedWidth
  const isBytes = samples instanceof Uint8Array
  for (let channel = 0, at = start; channel < channels; channel++) {
    const first = offset + channel * plane
    if (pad > 0) into.fill(background[channel]!, first, first + plane)
    const base = channel << 8
    const subtracted = mean[channel]!
    const divisor = std[channel]!
    // Without a border a plane is one line.
    const lines = pad > 0 ? height : 1
    const length = pad > 0 ? width : height * width
    for (let line = 0; line < lines; line++) {
      let target = first + (pad > 0 ? (line + pad) * paddedWidth + pad : 0)
      const end = at + length
      if (isBytes) while (at < end) into[target++] = table[base + samples[at++]!]!
      else while (at < end) into[target++] = (samples[at++]! * scale - subtracted) / divisor
    }
  }
}

/** Whether the model takes something else than planes in the order of the data. */
export const isArranged = ({ layout, colour }: Preprocessing): boolean =>
  layout !== 'nchw' || colour !== 'rgb'

/**
 * Turns samples as {@link preprocess} (and augmentation after it) leaves them into what the model takes: its layout and
 * its order of colours. Bytes can be turned as well, for models that preprocess by themselves.
 *
 * `values` holds `count` samples of shape `to`; `into` gets as many of shape `shape` and is other memory.
 */
export function arrange<Values extends Uint8Array | Float32Array>(
  { to, layout, colour }: Pick<Preprocessing, 'to' | 'layout' | 'colour'>,
  values: Values,
  count: number,
  into: Values,
): void {
  const [channels, height, width] = planesOf(to)
  const plane = height * width
  const size = channels * plane
  for (let sample = 0; sample < count; sample++)
    for (let channel = 0; channel < channels; channel++) {
      const place = colour === 'bgr' ? channels - 1 - channel : channel
      let from = sample * size + channel * plane
      if (layout === 'nchw')
        into.set(values.subarray(from, from + plane), sample * size + place * plane)
      else
        for (let at = sample * size + place, end = from + plane; from < end; at += channels)
          into[at] = values[from++]!
    }
}

/** Channels, height and width; samples that are no images are one channel of one line. */
function planesOf(shape: readonly number[]): readonly [number, number, number] {
  const [channels, height, width] = shape
  if (shape.length !== 3 || channels === undefined || height === undefined || width === undefined)
    return [1, 1, lengthOf(shape)]
  return [channels, height, width]
}

function spread(name: string, value: number | readonly number[], channels: number) {
  if (typeof value === 'number') return new Array<number>(channels).fill(value)
  if (value.length !== channels)
    throw new UserError(
      `preprocess.${name}: the samples have ${channels} ${channels === 1 ? 'channel' : 'channels'}: ${value.length} values — give one number, or one for each channel`,
    )
  return value
}
