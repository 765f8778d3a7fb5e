// What a data set is to the rest of Condense: numbered samples of one shape with class labels,
// and its splits.

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
  /** Writes one preprocessed sample, row-major, to `into` from `offset` on. */
  read(index: number, into: Float32Array, offset: number): void
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
}
