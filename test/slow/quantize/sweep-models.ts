// Real models with what they are used for: pictures, recordings and files, prepared as each wants them. Samples to find
// ranges on come first, others to measure on follow.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { InputSource } from '../../../base/samples.ts'
import { archiveEntries } from '../../../data/archive-entries.ts'
import { resampler } from '../../../data/audio/resample.ts'
import type { Dataset } from '../../../data/dataset.ts'
import { layOut, memoryWriter, type StoredColumn, viewsOf } from '../../../data/store.ts'
import { storedDataset } from '../../../data/stored-dataset.ts'
import { recipeOf } from '../../support/samples.ts'
import { sharedData } from '../../support/shared.ts'

type Numbers = Uint8Array | Float32Array | Int32Array

/** A real model and how it is fed. */
export interface Swept {
  readonly file: string
  readonly columns: readonly Omit<StoredColumn, 'offset'>[]
  readonly inputs?: Readonly<Record<string, InputSource>>
  /** Samples for ranges, and samples that are compared. */
  readonly samples: readonly [calibration: number, compared: number]
  /** How many of the runs a graphics processor that the CPU imitates repeats, which is slow; one unless told. */
  readonly runsOnGpu?: number
  /** Shares of the float model's bytes that it may have instead of those of all models, by scheme. */
  readonly shares?: Readonly<Record<string, number>>
  /** Makes ready what writes one sample into its columns. */
  open(): Promise<(index: number, into: readonly Numbers[]) => void>
}

/** The samples of a model, in two parts. */
export async function samplesFor(row: Swept): Promise<{
  readonly calibration: Dataset
  readonly compared: Dataset
}> {
  const [first, second] = row.samples
  const writer = memoryWriter(layOut(row.columns), row.file, first + second)
  const views = viewsOf(layOut(row.columns), writer.record)
  const write = await row.open()
  for (let index = 0; index < first + second; index++) {
    write(index, views)
    writer.next()
  }
  const store = writer.finish()
  const part = (from: number, count: number) =>
    storedDataset({
      ...recipeOf(store, {
        classes: ['0', '1'],
        labels: new Int32Array(count),
        ...(row.inputs && { inputs: row.inputs }),
      }),
      indices: Uint32Array.from({ length: count }, (_, index) => from + index),
    })
  return { calibration: part(0, first), compared: part(first, second) }
}

const floats = (name: string, shape: readonly number[]) =>
  ({ name, dtype: 'float32', shape }) as const

const unzipped = (...path: readonly string[]): Uint8Array =>
  gunzipSync(readFileSync(join(sharedData, ...path)))

/** Side of a CIFAR-10 picture, and the bytes of its record: a label and three planes. */
const side = 32
const pictureBytes = 1 + 3 * side * side

/**
 * What writes pictures [3, height, width] of `of(byte, channel)`: CIFAR-10's test pictures, made larger linearly and laid
 * side by side, `tile` pixels each.
 */
function pictures(
  [height, width]: readonly [number, number],
  tile: number,
  of: (byte: number, channel: number) => number,
) {
  const batch = unzipped('cifar-10', 'test_batch.bin.gz')
  const across = Math.ceil(width / tile)
  const each = across * Math.ceil(height / tile)
  return (index: number, [into]: readonly Numbers[]): void => {
    for (let channel = 0; channel < 3; channel++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const number = index * each + Math.floor(y / tile) * across + Math.floor(x / tile)
          const plane = batch.subarray(number * pictureBytes + 1 + channel * side * side)
          const byte = between(plane, ((y % tile) * side) / tile, ((x % tile) * side) / tile)
          into![(channel * height + y) * width + x] = of(byte, channel)
        }
  }
}

/** The byte of a plane between its pixels. */
function between(plane: Uint8Array, row: number, column: number): number {
  const [top, left] = [Math.floor(row), Math.floor(column)]
  const [bottom, right] = [Math.min(top + 1, side - 1), Math.min(left + 1, side - 1)]
  const [down, along] = [row - top, column - left]
  const mix = (y: number) =>
    plane[y * side + left]! * (1 - along) + plane[y * side + right]! * along
  return mix(top) * (1 - down) + mix(bottom) * down
}

const standardized =
  (mean: readonly number[], deviation: readonly number[]) => (byte: number, channel: number) =>
    (byte / 255 - mean[channel]!) / deviation[channel]!

const imageNet = standardized([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])

/** A picture that is followed, in a scene of four of them. */
function followed() {
  const scene = pictures([256, 256], 128, imageNet)
  return (index: number, [template, search]: readonly Numbers[]): void => {
    scene(index, [search!])
    for (let at = 0; at < template!.length; at++) {
      const [channel, y, x] = [at >> 14, (at >> 7) & 127, at & 127]
      template![at] = search![(channel * 256 + y + 64) * 256 + x + 64]!
    }
  }
}

/** The lightness of pictures, 0..1. */
function lightness(size: number, tile: number) {
  const colours = pictures([size, size], tile, (byte) => byte / 255)
  const planes = new Float32Array(3 * size * size)
  return (index: number, [into]: readonly Numbers[]): void => {
    colours(index, [planes])
    for (let at = 0; at < into!.length; at++)
      into![at] =
        0.299 * planes[at]! +
        0.587 * planes[at + size * size]! +
        0.114 * planes[at + 2 * size * size]!
  }
}

const digit = 28 * 28
const digitHeader = 16

function digits() {
  const images = unzipped('mnist', 't10k-images-idx3-ubyte.gz').subarray(digitHeader)
  return (index: number, [into]: readonly Numbers[]): void => {
    for (let at = 0; at < digit; at++)
      into![at] = (images[index * digit + at]! / 255 - 0.1307) / 0.3081
  }
}

const wavHeader = 44
const recordedHz = 8000

/** Spoken digits one after the other, at another rate; a sample begins where that before it has ended. */
async function speech(rateHz: number, length: number, count: number) {
  const wanted = Math.ceil((count * length * recordedHz) / rateHz) + 1
  const heard = new Float64Array(wanted)
  let filled = 0
  const archive = join(sharedData, 'fsdd', 'fsdd-recordings.tar.gz')
  for await (const { name, content } of archiveEntries(archive, undefined)) {
    const chunks: Uint8Array[] = []
    for await (const chunk of content) chunks.push(chunk)
    if (!name.endsWith('.wav')) continue
    const bytes = Buffer.concat(chunks)
    for (let at = wavHeader; at + 1 < bytes.length && filled < wanted; at += 2)
      heard[filled++] = bytes.readInt16LE(at) / 32768
    if (filled === wanted) break
  }
  const changed = new Float64Array(count * length)
  const rate = resampler(recordedHz, rateHz)
  const [from] = rate.spanOf(0, changed.length)
  const lead = new Float64Array(heard.length - from)
  lead.set(heard, -from)
  rate.run(lead, from, 0, changed)
  return (index: number, [into]: readonly Numbers[]): void =>
    into!.set(changed.subarray(index * length, (index + 1) * length))
}

/** Bytes that Magika looks at on either end, and what it takes for a byte that is not there. */
const fileEnd = 1024
const noByte = 256

/** Files of many kinds, begun at several places so that there are enough. */
function files() {
  const paths = [
    ...['package.json', 'README.md', 'biome.json', 'LICENSE', 'recipes/digits.yaml'],
    ...['onnx/graph.ts', 'jest.config.js', '.ci/run', 'benchmarks/suite/torch-step.py'],
    ...['banking77/test.csv', 'mnist/t10k-images-idx3-ubyte.gz', 'tabular/housing.tgz'].map(
      (path) => join(sharedData, path),
    ),
    ...['sst2/dev.tsv', 'banking77/categories.json'].map((path) => join(sharedData, path)),
  ]
  const contents = paths.map((path) => readFileSync(path))
  return (index: number, [into]: readonly Numbers[]): void => {
    const whole = contents[index % contents.length]!
    const bytes = whole.subarray(Math.floor(index / contents.length) * 512)
    const end = bytes.subarray(Math.max(0, bytes.length - fileEnd))
    for (let at = 0; at < fileEnd; at++) {
      into![at] = bytes[at] ?? noByte
      into![2 * fileEnd - 1 - at] = end[end.length - 1 - at] ?? noByte
    }
  }
}

const pitchLength = 43_844
/** 512 samples and the 64 before them; here each begins where that before it ends. */
const speechChunk = 576
const chunks = 24

const silero: Omit<Swept, 'file'> = {
  columns: [floats('audio', [chunks * speechChunk])],
  inputs: {
    input: { column: 'audio', chunk: speechChunk },
    state: { carry: 'stateN' },
    sr: { constant: 16_000 },
  },
  samples: [4, 2],
  runsOnGpu: 24,
  // There is no LSTM for static ranges.
  shares: { static: 0.8 },
  open: () => speech(16_000, chunks * speechChunk, 6),
}

/** The models, smallest samples first. */
export const swept: readonly Swept[] = [
  {
    file: 'conv-tiny-resnet8-cifar10',
    columns: [floats('image', [3, 32, 32])],
    samples: [32, 16],
    runsOnGpu: 16,
    open: async () => pictures([32, 32], 32, (byte) => byte),
  },
  {
    file: 'mnist-burn-a',
    columns: [floats('image', [1, 28, 28])],
    samples: [32, 16],
    runsOnGpu: 16,
    open: async () => digits(),
  },
  {
    file: 'vit-ibp-3-3-8-cifar10',
    columns: [floats('image', [3, 32, 32])],
    samples: [32, 16],
    runsOnGpu: 16,
    open: async () =>
      pictures([32, 32], 32, standardized([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.201])),
  },
  {
    file: 'conv-tiny-vww96-mobilenet025',
    columns: [floats('image', [3, 96, 96])],
    samples: [16, 16],
    runsOnGpu: 8,
    open: async () => pictures([96, 96], 96, (byte) => byte / 255),
  },
  {
    file: 'magika-v3_3',
    columns: [{ name: 'bytes', dtype: 'int32', shape: [2 * fileEnd] }],
    samples: [16, 12],
    runsOnGpu: 12,
    open: async () => files(),
  },
  { file: 'silero-vad', ...silero },
  { file: 'silero-vad-op18-ifless', ...silero },
  {
    file: 'basic-pitch',
    columns: [floats('audio', [pitchLength, 1])],
    samples: [4, 2],
    // The layers of its spectrum stay float, which a logarithm reads.
    shares: { dynamic: 0.65, static: 0.65 },
    open: () => speech(22_050, pitchLength, 6),
  },
  {
    file: 'super-resolution-10',
    columns: [floats('lightness', [1, 224, 224])],
    samples: [2, 2],
    open: async () => lightness(224, 56),
  },
  {
    file: 'ultraface-rfb-320',
    columns: [floats('image', [3, 240, 320])],
    samples: [4, 2],
    open: async () => pictures([240, 320], 80, (byte) => (byte - 127) / 128),
  },
  {
    file: 'vittrack',
    columns: [floats('template', [3, 128, 128]), floats('search', [3, 256, 256])],
    samples: [4, 2],
    open: async () => followed(),
  },
  {
    file: 'yolox-nano',
    columns: [floats('image', [3, 416, 416])],
    samples: [4, 8],
    // What OpenCV reads is blue first.
    open: async () => {
      const colours = pictures([416, 416], 104, (byte) => byte)
      return (index, [into]) => {
        colours(index, [into!])
        const plane = 416 * 416
        const red = into!.slice(0, plane)
        into!.copyWithin(0, 2 * plane)
        into!.set(red as Float32Array & Uint8Array, 2 * plane)
      }
    },
  },
]
