// What a data set is to the rest of Condense: numbered samples with their targets, and its splits.
import type { ColumnMemory, InputSource, Samples } from '../base/samples.ts'
import type { PreprocessOptions } from './preprocess.ts'
import type { ImageShape } from './readers/reader.ts'
import type { Store } from './store.ts'

/** Samples and what is to be predicted of them; the same index gives the same sample always. */
export interface Dataset extends Samples {
  /** What was asked for: `digits`, a well-known name, or the path. */
  readonly source: string
  /** Names of the classes; a label is an index into them. Empty where there are none. */
  readonly classes: readonly string[]
  /**
   * The class of each sample, 0 … classes.length-1, or zeros where samples have no single class; -1 for a sample of
   * which nothing is known but its content.
   */
  readonly labels: Int32Array
  /** So many consecutive samples belong together; 1 where each is by itself. */
  readonly group: number
  /** What the targets of a sample are called; empty where they have no names. */
  readonly targetNames: readonly string[]
  /** Numbers a sample that {@link target} writes; 0 where the label is all. */
  readonly targetWidth: number
  /**
   * Writes the target numbers of a sample: values, 0 or 1 a class, a class a position (-1: does not count). Those of
   * samples without a label are NaN, or -1 a position.
   */
  target(index: number, into: Float32Array, offset: number): void
  /**
   * SHA-256 of samples, targets, preprocessing and which samples: the data's part of every cache
   * key.
   */
  readonly fingerprint: string
  /** The images among the columns, for augmentation; absent where there are none. */
  readonly image?: ImageColumn | undefined
  /** What another thread or process makes the same data set of. */
  readonly recipe: DatasetRecipe
}

/** A column of images while they are still planes of RGB, as augmentation wants them. */
export interface ImageColumn {
  readonly column: number
  readonly shape: ImageShape
  /** The value of an empty (black) pixel of each channel after preprocessing. */
  readonly background: Float32Array
  /** The value of a full (white) pixel of each channel after preprocessing. */
  readonly white: Float32Array
  /** Writes one image `[C, H, W]` to `into` from `offset` on. */
  read(index: number, into: Float32Array, offset: number): void
  /** Puts one image that begins at `offset` into the order that the model takes. */
  arrange(values: Float32Array, offset: number): void
}

/** Everything that a data set is made of; can be posted to a worker, and to a process where the store is a file. */
export interface DatasetRecipe {
  readonly source: string
  readonly store: Store
  /** Which of the records, in order. */
  readonly indices: Uint32Array
  /** The label of each of these; -1 where it is not known. */
  readonly labels: Int32Array
  readonly classes: readonly string[]
  readonly group: number
  readonly targetNames: readonly string[]
  /** Where target numbers are about classes: their form, and the number that each stored class now has. */
  readonly targetClasses?:
    | {
        readonly form: 'positions' | 'indicators'
        readonly order: Int32Array
        readonly count: number
      }
    | undefined
  readonly preprocess: PreprocessOptions
  readonly inputs?: Readonly<Record<string, InputSource>> | undefined
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
  /** Samples without labels, where the recipe adds some; used by whoever wants more to train on. */
  readonly unlabelled?: Dataset
}

/** Some samples of a data set, side by side. */
export interface Batch {
  /**
   * The samples by column, each `[size, ...shape]`, row-major, preprocessed and, where asked for, augmented.
   */
  readonly columns: readonly ColumnMemory[]
  /** The label of each sample. */
  readonly labels: Int32Array
  /** The target numbers of each sample, `[size, targetWidth]`; empty where the label is all. */
  readonly targets: Float32Array
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
