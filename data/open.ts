// Opening the data of a recipe: a quick check before the first expensive step, and the reading
// itself.
import { hashOf } from '../base/hash.ts'
import type { Splits } from './dataset.ts'
import { preprocessing } from './preprocess.ts'
import { readers } from './readers/index.ts'
import type { RawFacts, Reader } from './readers/reader.ts'
import { type DataFolders, type DataOptions, type Located, locate } from './sources.ts'
import { split } from './splits.ts'

/** Size of the calibration split where nobody asks for more. */
export const defaultCalibration = 512

/** What is known of a data set before its samples are read. */
export interface DataFacts {
  /** What was asked for: the well-known name, or the path. */
  readonly source: string
  readonly format: string
  /** The folder that the files are read from. */
  readonly folder: string
  /** Shape of one sample after preprocessing, `[C, H, W]`. */
  readonly shape: readonly number[]
  readonly classes: readonly string[]
  /** Samples of the training part, limits applied, before validation is held out. */
  readonly trainSize: number
  /** Samples of the test part, limits applied. */
  readonly testSize: number
}

/** A data set that was read, and its splits. */
export interface OpenData {
  readonly splits: Splits
  readonly facts: DataFacts
  /** SHA-256 over all splits. */
  readonly fingerprint: string
}

/**
 * Checks that the data is there and whole as far as headers and sizes tell, without reading its
 * samples.
 *
 * Everything wrong is a `UserError`; damage inside the samples shows only when they are read.
 */
export async function checkData(options: DataOptions, folders: DataFolders): Promise<DataFacts> {
  const located = await locate(options, folders)
  return factsOf(options, located, await readerOf(located).inspect(located))
}

/**
 * Reads a data set into memory, as bytes, and splits it by seed.
 *
 * `calibration` is the number of calibration samples at most; `log` is told what the user should
 * know of the files.
 */
export async function openData(
  options: DataOptions,
  {
    seed,
    calibration = defaultCalibration,
    log,
    ...folders
  }: DataFolders & {
    readonly seed: number
    readonly calibration?: number
    readonly log: (line: string) => void
  },
): Promise<OpenData> {
  const located = await locate(options, folders)
  const raw = await readerOf(located).read(located, log)
  const splits = split(located.source, raw, {
    seed,
    calibration,
    preprocess: options.preprocess,
    validation: options.validation,
    trainLimit: options.train.limit,
    testLimit: options.test.limit,
  })
  const { train, validation, test } = splits
  return {
    splits,
    facts: factsOf(options, located, {
      ...raw,
      trainSize: train.size + validation.size,
      testSize: test.size,
    }),
    fingerprint: hashOf(Object.values(splits).map((part) => part.fingerprint)),
  }
}

const readerOf = ({ format }: Located): Reader => readers[format]

function factsOf(
  { preprocess, train, test }: DataOptions,
  { source, format, folder }: Located,
  { shape, classes, trainSize, testSize }: RawFacts,
): DataFacts {
  return {
    source,
    format,
    folder,
    shape: preprocessing(shape, preprocess).to,
    classes,
    trainSize: Math.min(trainSize, train.limit ?? trainSize),
    testSize: Math.min(testSize, test.limit ?? testSize),
  }
}
