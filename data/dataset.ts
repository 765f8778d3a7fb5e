// What a data set is to the rest of Condense: numbered samples of one shape with class labels,
// and its splits.
import type { Preprocessing } from './preprocess.ts'

/**
 * Samples of one shape and their labels; reading one is pure, so the same index gives the same
 * sample always.
 */
export interface Dataset {
  /** What was asked for: `digits`, a well-known name, or the path. */
  readonly source: string
  /** How many samples there are. */
  readonly size: number
  /** Shape of one sample, `[C, H, W]` for images. */
  readonly shape: readonly number[]
  /** Names of the classes; a label is an index into them. */
  readonly classes: readonly string[]
  /** The label of each sample, 0 … classes.length-1. */
  readonly labels: Int32Array
  /**
   * SHA-256 of samples, labels, preprocessing and which samples: the data's part of every cache
   * key.
   */
  readonly fingerprint: string
  /** The value of an empty (black) pixel of each channel after preprocessing; zero where absent. */
  readonly background?: Float32Array
  /** The value of a full (white) pixel of each channel after preprocessing; one where absent. */
  readonly white?: Float32Array
  /** What another thread makes the same data set of; absent where samples exist in this one alone. */
  readonly recipe?: DatasetRecipe
  /** Writes one preprocessed sample, row-major, to `into` from `offset` on. */
  read(index: number, into: Float32Array, offset: number): void
}

/** Images in memory that threads share, as `imageDataset` takes them; can be posted to a worker. */
export interface DatasetRecipe {
  readonly source: string
  /** Bytes of all images `[…, C, H, W]`, in shared memory, and the label of each. */
  readonly part: {
    readonly samples: Uint8Array
    readonly labels: Int32Array
    /** SHA-256 of both. */
    readonly hash: string
  }
  /** Which of the images, in order. */
  readonly indices: Uint32Array
  readonly classes: readonly string[]
  readonly preprocessing: Preprocessing
}

/** The parts of a data set that the stages see; `test` is touched by benchmarks alone. */
export interface Splits {
  /** What is trained on. */
  readonly train: Dataset
  /** Held out of the training data: chooses the best epoch, stops early, guides searches. */
  readonly validation: Dataset
  /** A part of `train`, ordered so that every prefix holds the classes in their proportions. */
  readonly calibration: Dataset
  readonly test: Dataset
}

/** Some samples of a data set, side by side. */
export interface Batch {
  /** The samples, `[size, ...shape]`, row-major, preprocessed and, where asked for, augmented. */
  readonly inputs: Float32Array
  /** The label of each sample. */
  readonly labels: Int32Array
  /** The index of each sample in the data set: what is cached per sample is looked up by it. */
  readonly indices: Uint32Array
  /** How many samples the batch holds. */
  readonly size: number
  /** How the labels are mixed, where the samples are. */
  readonly mix?: Mix
}

/** The labels of samples that were mixed with others of the batch. */
export interface Mix {
  /** The label of the other sample. */
  readonly partners: Int32Array
  /** The weight of the sample's own label, 0..1; the other's is the rest. */
  readonly shares: Float32Array
}
