// Changes of samples that a good model should bear, each at several strengths (Hendrycks and Dietterich 2019): noise, blur,
// weak contrast, brightness, JPEG and small adversarial steps. What a strength means is relative to the input itself, so
// that all data meet the same.
import { random } from '../../base/random.ts'
import { type ColumnMemory, lengthOf, pick, type Samples } from '../../base/samples.ts'
import type { Dataset } from '../../data/dataset.ts'
import { openPredictions, type PredictionsFile } from '../predictions-file.ts'
import { throughJpeg } from './jpeg.ts'

/** A change of one column of floats, as a measuring process is told of it. */
export type Change = { readonly column: number } & (
  | { readonly kind: 'noise'; readonly deviation: PerValue; readonly seed: number }
  /** `sigma` in pixels. */
  | { readonly kind: 'blur'; readonly sigma: number }
  | { readonly kind: 'contrast'; readonly factor: number }
  /** `share` of the way from black to white that every pixel is lighter. */
  | { readonly kind: 'brightness'; readonly share: number }
  | { readonly kind: 'jpeg'; readonly quality: number }
  /** A step of this size along the sign of directions, one row a chosen sample. */
  | { readonly kind: 'step'; readonly directions: PredictionsFile; readonly size: PerValue }
  /** So much of this size as each direction, -1..1, says. */
  | { readonly kind: 'shift'; readonly directions: PredictionsFile; readonly size: PerValue }
)

/** One number for all values of a sample, or one for each of them. */
export type PerValue = number | Float32Array

/** What changes are measured by: the column that they change and how its values vary. */
export interface InputFacts {
  readonly column: number
  /** The shorter side of the images, pixels; undefined where samples are no images. */
  readonly side: number | undefined
  /** Standard deviation: of all values of images, else of each value by itself. */
  readonly deviation: PerValue
}

/** A kind of change. */
export interface ChangeKind {
  readonly title: string
  /** What the strengths are, for people. */
  readonly strength: string
  /** The weakest first; the one in the middle is what is shown first. */
  readonly strengths: readonly number[]
  /** Changes nothing but images. */
  readonly images?: true
  /** Whose gradients give the directions of steps; none is needed where it is absent. */
  readonly directions?: 'own' | 'teacher'
  /** Steps to the directions of each strength; one gradient serves all strengths where it is absent. */
  readonly steps?: number
  readonly change: (
    strength: number,
    facts: InputFacts,
    given: { readonly seed: number; readonly directions: PredictionsFile | undefined },
  ) => Change
}

const step: ChangeKind['change'] = (strength, { column, deviation }, { directions }) => {
  if (!directions) throw new Error('internal: a step without directions')
  return { kind: 'step', column, directions, size: times(deviation, strength) }
}

/** What a change of a strength is bounded by, in the unit of the input. */
export const boundOf = ({ deviation }: InputFacts, strength: number): PerValue =>
  times(deviation, strength)

/** All kinds of changes by name. */
export const changeKinds = {
  noise: {
    title: 'Noise',
    strength: 'Gaussian noise, in standard deviations of the input',
    strengths: [0.05, 0.1, 0.2, 0.4, 0.8],
    change: (strength, { column, deviation }, { seed }) => ({
      ...{ kind: 'noise', column, seed },
      deviation: times(deviation, strength),
    }),
  },
  blur: {
    title: 'Blur',
    strength: 'Gaussian blur, its deviation as a share of the shorter side',
    strengths: [0.005, 0.01, 0.02, 0.04, 0.08],
    images: true,
    change: (strength, { column, side = 0 }) => ({ kind: 'blur', column, sigma: strength * side }),
  },
  contrast: {
    title: 'Contrast',
    strength: "share of the contrast that is left around each channel's mean",
    strengths: [0.9, 0.8, 0.7, 0.5, 0.3],
    images: true,
    change: (factor, { column }) => ({ kind: 'contrast', column, factor }),
  },
  brightness: {
    title: 'Brightness',
    strength: 'share of the way from black to white that every pixel is lighter',
    strengths: [0.05, 0.1, 0.2, 0.3, 0.4],
    images: true,
    change: (share, { column }) => ({ kind: 'brightness', column, share }),
  },
  jpeg: {
    title: 'JPEG',
    strength: 'quality of a JPEG file',
    strengths: [25, 18, 15, 10, 7],
    images: true,
    change: (quality, { column }) => ({ kind: 'jpeg', column, quality }),
  },
  /** The fast gradient sign method (Goodfellow et al. 2015, section 4) against the model itself. */
  adversarial: {
    title: 'FGSM',
    strength:
      "the fast gradient sign method, a step along the model's own gradient, in standard deviations",
    strengths: [0.025, 0.05, 0.1],
    directions: 'own',
    change: step,
  },
  /** Projected gradient descent (Madry et al. 2018) against the model itself. */
  projected: {
    title: 'PGD',
    strength:
      "projected gradient descent, five steps along the model's own gradients within a bound, in standard deviations",
    strengths: [0.025, 0.05, 0.1],
    directions: 'own',
    steps: 5,
    change: (strength, facts, { directions }) => {
      if (!directions) throw new Error('internal: a shift without directions')
      return { kind: 'shift', column: facts.column, directions, size: boundOf(facts, strength) }
    },
  },
  /** The same samples for all models: steps that were found with the teacher's gradients. */
  transferred: {
    title: "Teacher's FGSM",
    strength: "the same with the teacher's gradient for all models, in standard deviations",
    strengths: [0.025, 0.05, 0.1],
    directions: 'teacher',
    change: step,
  },
} as const satisfies Record<string, ChangeKind>

/** The name of a kind of changes. */
export type ChangeName = keyof typeof changeKinds

/** Samples that are changed when they are read. */
export interface ChangedSamples extends Samples {
  /** Closes what the change reads. */
  close(): void
}

/** Some samples of a data set with a change of one column. The same arguments always give the same samples. */
export async function changed(
  data: Dataset,
  indices: Uint32Array,
  change: Change,
): Promise<ChangedSamples> {
  const { write, close = () => undefined } = await writerOf(data, indices, change)
  return { ...rewritten(data, indices, change.column, write), close }
}

/** Some samples of a data set to whose column so much of a size is added as `row` says of each, -1..1. */
export function shifted(data: Dataset, indices: Uint32Array, by: Shift): Samples {
  return rewritten(data, indices, by.column, shiftWriter(data, by))
}

/** Samples with one column that is written in another way. */
function rewritten(data: Dataset, indices: Uint32Array, changed: number, write: Write): Samples {
  const chosen = pick(data, indices)
  return {
    ...chosen,
    read(row, column, into, offset) {
      if (column === changed) write(row, indices[row]!, into as Float32Array, offset)
      else chosen.read(row, column, into, offset)
    },
  }
}

/**
 * Finds the column that changes can be made in and how its values vary over the chosen samples; a text is the reason
 * why there is none.
 */
export function inputFacts(data: Dataset, indices: Uint32Array): InputFacts | string {
  const { image, columns } = data
  if (image) {
    const [, height, width] = image.shape
    const values = new Float32Array(lengthOf(image.shape))
    const moments = momentsOf(1)
    for (const index of indices) {
      image.read(index, values, 0)
      moments.add(values)
    }
    const [deviation] = moments.deviations()
    return { column: image.column, side: Math.min(height, width), deviation: deviation! }
  }
  // What belongs to a column (a text's mask) has a dot in its name.
  const main = [...columns.keys()].filter((at) => !columns[at]!.name.includes('.'))
  const floats = main.filter((at) => columns[at]!.dtype === 'float32')
  const [column] = floats
  if (column === undefined) return 'the data has no input of floats'
  if (floats.length > 1) return `the data has ${floats.length} inputs of floats`
  const values = new Float32Array(lengthOf(columns[column]!.shape))
  const moments = momentsOf(values.length)
  for (const index of indices) {
    data.read(index, column, values, 0)
    moments.add(values)
  }
  return { column, side: undefined, deviation: moments.deviations() }
}

/** Standard deviations of `width` numbers, or of all that there are where it is 1 (Welford 1962). */
function momentsOf(width: number) {
  const mean = new Float64Array(width)
  const squares = new Float64Array(width)
  const count = new Float64Array(width)
  return {
    add(values: Float32Array) {
      for (let i = 0; i < values.length; i++) {
        const at = width === 1 ? 0 : i
        const difference = values[i]! - mean[at]!
        count[at]!++
        mean[at]! += difference / count[at]!
        squares[at]! += difference * (values[i]! - mean[at]!)
      }
    },
    deviations: () =>
      Float32Array.from(squares, (sum, at) => Math.sqrt(sum / Math.max(1, count[at]!))),
  }
}

/** Writes one changed sample: the row among the chosen ones, its index in the data set. */
type Write = (row: number, index: number, into: Float32Array, offset: number) => void

async function writerOf(
  data: Dataset,
  indices: Uint32Array,
  change: Change,
): Promise<{ write: Write; close?: () => void }> {
  const { image } = data
  if (change.kind === 'step' || change.kind === 'shift') return directed(data, change)
  const { shape } = data.columns[change.column]!
  const whole = (values: ColumnMemory, offset: number, length = lengthOf(shape)) =>
    values.subarray(offset, offset + length) as Float32Array
  if (!image || image.column !== change.column) {
    if (change.kind !== 'noise') throw new Error(`internal: ${change.kind} of what is no image`)
    return {
      write(_row, index, into, offset) {
        data.read(index, change.column, into, offset)
        addNoise(whole(into, offset), change, index)
      },
    }
  }
  const planes = lengthOf(image.shape)
  const scratch = new Float32Array(planes)
  if (change.kind === 'jpeg') {
    const recoded = await throughJpeg(image, indices, change.quality)
    return {
      write(row, _index, into, offset) {
        recoded(row, whole(into, offset, planes))
        image.arrange(into, offset)
      },
    }
  }
  const bounds = boundsOf(image)
  return {
    write(_row, index, into, offset) {
      image.read(index, into, offset)
      const values = whole(into, offset, planes)
      if (change.kind === 'noise') {
        addNoise(values, change, index)
        clip(values, bounds)
      } else if (change.kind === 'brightness') {
        lighten(values, image, change.share)
        clip(values, bounds)
      } else if (change.kind === 'blur') blur(values, image.shape, change.sigma, scratch)
      else weaken(values, image.shape, change.factor)
      image.arrange(into, offset)
    },
  }
}

function addNoise(
  values: Float32Array,
  { deviation, seed }: Extract<Change, { kind: 'noise' }>,
  index: number,
): void {
  // The same noise at every strength, so that strengths differ in that alone.
  const { normal } = random(seed, 'knowledge', 'noise', index)
  for (let i = 0; i < values.length; i++) values[i]! += normal() * at(deviation, i)
}

function directed(
  data: Dataset,
  { kind, column, directions, size }: Extract<Change, { kind: 'step' | 'shift' }>,
) {
  const open = openPredictions(directions)
  const row = (at: number) =>
    kind === 'shift' ? open.row(at) : open.row(at).map((along) => Math.sign(along) || 0)
  return { write: shiftWriter(data, { column, size, row }), close: () => open.close() }
}

/** What is added to a column: how much of a size, -1..1, for each value of each of the chosen samples. */
interface Shift {
  readonly column: number
  readonly size: PerValue
  readonly row: (at: number) => Float32Array
}

/** Shifts are made in the order in which the model takes the values, for the gradients have it too. */
function shiftWriter(data: Dataset, { column, size, row }: Shift): Write {
  const { image } = data
  const bounds = image?.column === column ? arranged(image) : undefined
  return (sample, index, into, offset) => {
    data.read(index, column, into, offset)
    const shares = row(sample)
    const values = into.subarray(offset, offset + shares.length)
    for (let i = 0; i < values.length; i++) values[i]! += at(size, i) * shares[i]!
    if (bounds) clip(values, bounds)
  }
}

interface Bounds {
  readonly low: Float32Array
  readonly high: Float32Array
}

/** Black and white of every value of an image `[C, H, W]`. */
function boundsOf({ shape, background, white }: NonNullable<Dataset['image']>): Bounds {
  const area = shape[1] * shape[2]
  const fill = (of: Float32Array, pick: typeof Math.min, other: Float32Array) =>
    Float32Array.from({ length: lengthOf(shape) }, (_, i) => {
      const channel = Math.floor(i / area)
      return pick(of[channel]!, other[channel]!)
    })
  return { low: fill(background, Math.min, white), high: fill(white, Math.max, background) }
}

function arranged(image: NonNullable<Dataset['image']>): Bounds {
  const bounds = boundsOf(image)
  image.arrange(bounds.low, 0)
  image.arrange(bounds.high, 0)
  return bounds
}

function clip(values: Float32Array, { low, high }: Bounds): void {
  for (let i = 0; i < values.length; i++)
    values[i] = Math.min(high[i]!, Math.max(low[i]!, values[i]!))
}

/** Gaussian blur, one axis after the other; beyond the edge it sees the edge. */
function blur(
  values: Float32Array,
  [channels, height, width]: readonly [number, number, number],
  sigma: number,
  scratch: Float32Array,
): void {
  if (sigma <= 0) return
  const radius = Math.ceil(3 * sigma)
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)),
  )
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const along = (from: Float32Array, to: Float32Array, length: number, stride: number) => {
    for (let start = 0; start < from.length; start++) {
      const place = Math.floor(start / stride) % length
      let sum = 0
      for (let i = -radius; i <= radius; i++) {
        const other = Math.min(length - 1, Math.max(0, place + i))
        sum += weights[i + radius]! * from[start + (other - place) * stride]!
      }
      to[start] = sum / total
    }
  }
  if (values.length !== channels * height * width) throw new Error('internal: no image')
  along(values, scratch, width, 1)
  along(scratch, values, height, width)
}

/** Adds a share of the way from black to white to every pixel. */
function lighten(
  values: Float32Array,
  { shape, background, white }: NonNullable<Dataset['image']>,
  share: number,
): void {
  const area = shape[1] * shape[2]
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / area)
    values[i]! += share * (white[channel]! - background[channel]!)
  }
}

/** Draws every channel of an image towards its mean. */
function weaken(
  values: Float32Array,
  [channels, height, width]: readonly [number, number, number],
  factor: number,
): void {
  const area = height * width
  for (let channel = 0; channel < channels; channel++) {
    const plane = values.subarray(channel * area, (channel + 1) * area)
    const mean = plane.reduce((sum, value) => sum + value, 0) / area
    for (let i = 0; i < area; i++) plane[i] = mean + factor * (plane[i]! - mean)
  }
}

const times = (value: PerValue, factor: number): PerValue =>
  typeof value === 'number' ? value * factor : value.map((each) => each * factor)

const at = (value: PerValue, index: number): number =>
  typeof value === 'number' ? value : value[index]!
