// What a training is given and what it gives: the types that the loop shares with the stages.
import type { Model } from '../onnx/graph.ts'
import type { Tensor } from '../onnx/tensor.ts'
import type { ProviderName } from '../runtime/providers.ts'
import type { Quantizers } from './fake-quantize.ts'
import type { Focus, Taught } from './loss-context.ts'
import type { LossOptions } from './losses.ts'
import type { Masking } from './masking.ts'
import type { MixedLabels } from './one-hot.ts'
import type { TrainingOptions } from './options.ts'
import type { PenalisedGroup } from './penalty.ts'

/** A batch of samples; its memory may be reused for the next one. */
export interface TrainingBatch {
  /** The content of the model's inputs in their order, row-major; of the types that the inputs have. */
  readonly inputs: readonly ArrayBufferView[]
  /**
   * The class of each sample, or of each of its positions (`[size, positions]`, -1 where none counts); needed where a
   * loss compares with labels.
   */
  readonly labels?: Int32Array
  /** The target values `[size, targetWidth]`; needed where a loss compares with values. */
  readonly values?: Float32Array
  /** How the labels are mixed, where the samples are; not for positions. */
  readonly mix?: MixedLabels
  readonly size: number
  /** Position of each sample in the data set. */
  readonly indices: Uint32Array
}

/** What one epoch came to. */
export interface EpochRecord {
  /** 1, 2, … */
  readonly epoch: number
  /** Mean loss over the epoch's batches. */
  readonly loss: number
  /** How good the model was on the validation samples (of a classifier the share of right answers); larger is better. */
  readonly score: number
  /** Mean over the epoch's batches of each weighted term of the loss, where there are several. */
  readonly terms?: readonly number[]
}

/** What the teacher says about a batch, by the number of the output; the memory may be reused. */
export type Teacher = (
  batch: TrainingBatch,
) => readonly Float32Array[] | Promise<readonly Float32Array[]>

/** Everything a training needs. */
export interface TrainSettings {
  readonly options: TrainingOptions
  readonly losses: readonly LossOptions[]
  /** How many classes the labels have; needed by losses on labels. */
  readonly classes?: number | undefined
  /** How many target values a sample has; checked against the outputs by losses on values. */
  readonly targetWidth?: number | undefined
  /** So many consecutive samples of a batch belong together; 1 unless told. */
  readonly group?: number | undefined
  /** How much each class counts, where not all count alike. */
  readonly classWeights?: readonly number[] | undefined
  /**
   * The batches of epoch 1, 2, … from the `first` on, all of size `options.batch`; the same numbers give the same
   * batches.
   */
  readonly batches: (
    epoch: number,
    first: number,
  ) => Iterable<TrainingBatch> | AsyncIterable<TrainingBatch>
  readonly stepsPerEpoch: number
  /** Shape of one sample, for models that leave more than the batch free. */
  readonly sample?: readonly number[] | undefined
  /** Numbers for free dimensions by name (see `fixDims`). */
  readonly dims?: Readonly<Record<string, number>> | undefined
  /** Inputs of the model that always have the same content, by name; batches leave them out. */
  readonly constants?: Readonly<Record<string, Tensor>> | undefined
  /** Says how good a model is; larger is better. The best epoch by it is kept. */
  readonly validate: (model: Model) => Promise<number>
  /** How many samples there are; needed by losses that remember each of them. */
  readonly samples?: number | undefined
  /** True where some samples have no label. */
  readonly unlabelled?: boolean | undefined
  /** Which rows count more. */
  readonly focus?: Focus | undefined
  /** What the teacher answers, where that is more than one array an output of the student. */
  readonly taught?: Taught | undefined
  /** Needed where a loss compares with a teacher. */
  readonly teacher?: Teacher | undefined
  /** The channels that the penalties among the options may be about. */
  readonly groups?: readonly PenalisedGroup[] | undefined
  /** By initializer: 1 where a weight learns, 0 where it stays. */
  readonly masks?: ReadonlyMap<string, Float32Array> | undefined
  /** Who changes these masks while the training goes on. */
  readonly masking?: Masking | undefined
  /** What the fake quantizations in the model ask for. */
  readonly quantizers?: Quantizers | undefined
  readonly seed: number
  readonly threads: number
  readonly provider: ProviderName
  /** True where another session runs between the steps: spinning threads would slow it down. */
  readonly sharesCores?: boolean
  /** File of the checkpoint, written after every epoch and when interrupted; the next training goes on from it. */
  readonly checkpoint?: string | undefined
  /** True when it is time for a checkpoint within an epoch. */
  readonly checkpointDue?: () => boolean
  readonly where?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: (message: string) => void
  readonly progress?: (progress: TrainProgress) => void
}

/** Where a training is. */
export interface TrainProgress {
  readonly done: number
  readonly epoch: number
  readonly epochs: number
  readonly loss: number
  /** On the validation samples after the last whole epoch. */
  readonly score?: number
  /** Trained on since the last report. */
  readonly samples: number
  /** Set in the one report that follows an epoch's validation; loss and score are those of the epoch. */
  readonly epochDone?: true
}

/** A trained model and its curve. */
export interface Trained {
  /** The model of the best epoch, in the form of the one that was given. */
  readonly model: Model
  readonly epochs: readonly EpochRecord[]
  readonly bestEpoch: number
}
