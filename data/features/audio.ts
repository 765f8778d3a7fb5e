// Sound: files, paths or bytes become waveforms, log-mel spectra or cepstral coefficients of fixed length.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { withSound } from '../audio/cell.ts'
import { clipReader } from '../audio/clip.ts'
import { frontEnd } from '../audio/front-ends.ts'
import { frontEndOptions } from '../audio/options.ts'
import type { Row } from '../table.ts'
import { columnAt, defineFeature, type FeatureContext } from './feature.ts'

const maximumSamples = 2 ** 24

/** Schema of a feature of kind `audio`. */
export const audioOptions = z.strictObject({
  kind: z.literal('audio'),
  column: z
    .string()
    .min(1)
    .default('audio')
    .describe('The column with the sounds: WAV files, paths, or the bytes of files.'),
  folder: z
    .string()
    .min(1)
    .optional()
    .describe("Paths in cells are relative to this folder; the table's own unless given."),
  channel: z
    .union([z.literal('mean'), z.int().min(0).max(65_534)])
    .default('mean')
    .describe('mean of all channels, or one of them by its number from 0.'),
  rate: z
    .int()
    .min(100)
    .max(768_000)
    .default(16_000)
    .describe('Samples a second, in Hz; sounds of other rates are resampled.'),
  seconds: z.number().positive().default(1).describe('Length that all sounds are made.'),
  pad: z
    .enum(['end', 'centre'])
    .default('end')
    .describe('Where a shorter sound gets its silence: after it, or on both sides.'),
  cut: z
    .enum(['start', 'centre'])
    .default('start')
    .describe('Which part of a longer sound is kept.'),
  frontEnd: frontEndOptions
    .default({ type: 'waveform', layout: 'samples' })
    .describe('What is made of the samples.'),
  normalise: z
    .enum(['none', 'sample', 'learned'])
    .default('none')
    .describe(
      'Make the mean 0 and the deviation 1 for each bin (of a waveform: for all samples): sample: over the frames of each sound, padding included; learned: over the training split.',
    ),
})

/** Resolved options of a feature of kind `audio`. */
export type AudioOptions = z.output<typeof audioOptions>

/** Mean and standard deviation of each bin over the training split; null where they are not asked for. */
export type AudioStatistics = {
  readonly mean: readonly number[]
  readonly deviation: readonly number[]
} | null

// What is as good as constant (silence, a filter without a point) is not blown up to noise.
const leastDeviation = 1e-5

/** Cuts or pads sounds to one length, resamples them, and runs a front end over them. */
export const audio = defineFeature<typeof audioOptions, AudioStatistics>({
  summary: 'Sound of WAV files: waveforms, log-mel spectra, cepstral coefficients',
  options: audioOptions,
  columns(options, context) {
    soundColumn(options, context)
    return [options.column]
  },
  learn(options, context) {
    const { frames, bins, width, values } = sounds(options, context)
    let count = 0
    const mean = new Float64Array(bins)
    const squares = new Float64Array(bins)
    return {
      async observe(row) {
        if (options.normalise !== 'learned') return
        const found = await values(row)
        // Welford (1962): sums of squares would lose digits over many sounds.
        for (let at = 0; at < frames * width; at += bins) {
          count++
          for (let bin = 0; bin < bins; bin++) {
            const difference = found[at + bin]! - mean[bin]!
            mean[bin]! += difference / count
            squares[bin]! += difference * (found[at + bin]! - mean[bin]!)
          }
        }
      },
      finish() {
        if (options.normalise !== 'learned') return null
        if (count === 0)
          throw new UserError(
            `column '${options.column}': nothing to learn the mean from: 0 sounds in the training split — check the data, or take normalise: sample`,
          )
        const deviation = Array.from(squares, (sum) => Math.sqrt(sum / count))
        return { mean: [...mean], deviation }
      },
    }
  },
  prepare(options, learned, context) {
    const { frames, bins, width, values } = sounds(options, context)
    const { normalise, frontEnd, column } = options
    if (normalise === 'learned' && learned?.mean.length !== bins)
      throw new UserError(
        `column '${column}': learned for another front end: ${learned?.mean.length ?? 0} means, ${bins} bins — learn them again`,
      )
    const byLayout = {
      samples: [width],
      sequence: frontEnd.type === 'waveform' ? [1, width] : [width, frames],
      image: [1, frames, width],
      frames: [frames, width],
    }
    const isTurned = frontEnd.type !== 'waveform' && frontEnd.layout === 'sequence'
    return {
      outputs: [{ suffix: '', dtype: 'float32', shape: byLayout[frontEnd.layout] }],
      async encode(row, [into]) {
        const found = await values(row)
        if (normalise === 'sample') standardise(found, statisticsOf(found, bins))
        if (normalise === 'learned') standardise(found, learned!)
        if (isTurned)
          for (let frame = 0; frame < frames; frame++)
            for (let bin = 0; bin < width; bin++)
              into![bin * frames + frame] = found[frame * width + bin]!
        else into!.set(found)
      },
    }
  },
  show(options, _learned, context) {
    const { clip } = sounds(options, context)
    return async (row) => ({ kind: 'sound', samples: await clip(row), rate: options.rate })
  },
})

/** The front end over the sounds of a column. */
function sounds(options: AudioOptions, context: FeatureContext) {
  const { rate, seconds, channel, pad, cut, column, folder = context.folder } = options
  const length = Math.round(seconds * rate)
  if (length < 1 || length > maximumSamples)
    throw new UserError(
      `audio.seconds: no length that can be worked with: ${length} samples — at least 1 and at most ${maximumSamples}`,
    )
  const at = soundColumn(options, context)
  const { frames, width, bins, run } = frontEnd(options.frontEnd, rate, length)
  const readClip = clipReader({ rate, length, channel, pad, cut })
  const clip = (row: Row) => withSound(row[at]!, { column, folder }, readClip)
  const values = async (row: Row) => {
    const signal = await clip(row)
    // From here on nothing waits: sounds that are read side by side do not meet in the front end's memory.
    const found = new Float64Array(frames * width)
    run(signal, found)
    return found
  }
  return { frames, width, bins, clip, values }
}

function soundColumn({ column }: AudioOptions, { columns }: FeatureContext): number {
  const found = columns.find(({ name }) => name === column)
  if (!found)
    throw new UserError(
      `column: no such column: '${column}' — the table has ${columns.map(({ name }) => `'${name}'`).join(', ')}`,
    )
  if (found.type !== 'file' && found.type !== 'text' && found.type !== 'bytes')
    throw new UserError(
      `column '${column}': holds no sounds: its cells are of type ${found.type} — name a column of files, paths or bytes`,
    )
  return columnAt(columns, column)
}

type Statistics = { readonly mean: ArrayLike<number>; readonly deviation: ArrayLike<number> }

function statisticsOf(values: Float64Array, bins: number): Statistics {
  const mean = new Float64Array(bins)
  const deviation = new Float64Array(bins)
  const count = values.length / bins
  for (let at = 0; at < values.length; at++) mean[at % bins]! += values[at]! / count
  for (let at = 0; at < values.length; at++)
    deviation[at % bins]! += (values[at]! - mean[at % bins]!) ** 2 / count
  return { mean, deviation: deviation.map(Math.sqrt) }
}

function standardise(values: Float64Array, { mean, deviation }: Statistics): void {
  const bins = mean.length
  for (let at = 0; at < values.length; at++) {
    const bin = at % bins
    const spread = deviation[bin]! < leastDeviation ? 1 : deviation[bin]!
    values[at] = (values[at]! - mean[bin]!) / spread
  }
}
