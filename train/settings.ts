// What a training is given and what it gives: the types that the loop shares with the stages.
import type { Model } from '../onnx/graph.ts'
import type { Samples } from '../runtime/predict.ts'
import type { ProviderName } from '../runtime/providers.ts'
import type { LossOptions, TrainingOptions } from './options.ts'

/** A batch of samples; `inputs` may be reused for the next one. */
export interface TrainingBatch {
  /** `[size, ...shape]`, row-major. */
  readonly inputs: Float32Array
  readonly labels: Int32Array
  readonly size: number
  /** Position of each sample in the data set. */
  readonly indices: Uint32Array
}

/** What one epoch came to. */
export interface EpochRecord {
  /** 1, 2, … */
  readonly epoch: number
  /** Mean loss over the epoch's steps. */
  readonly loss: number
  /** Share of right answers on the validation samples, 0..1. */
  readonly validationAccuracy: number
}

/** Everything a training needs. */
export interface TrainSettings {
  readonly options: TrainingOptions
  readonly losses: readonly LossOptions[]
  readonly classes: number
  /** The batches of an epoch, all of size `options.batch`; the same epoch gives the same batches. */
  readonly batches: (epoch: number) => Iterable<TrainingBatch>
  readonly stepsPerEpoch: number
  readonly validation: Samples & { readonly labels: Int32Array }
  /** The teacher's logits for a batch, `[size, classes]`; needed where a loss compares with a teacher. */
  readonly teacherLogits?: (batch: TrainingBatch) => Float32Array | Promise<Float32Array>
  /** By initializer: 1 where a weight learns, 0 where it stays. */
  readonly masks?: ReadonlyMap<string, Float32Array> | undefined
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
  /** On the validation samples after the last whole epoch, 0..1. */
  readonly accuracy?: number
  /** Trained on since the last report. */
  readonly samples: number
  /** Set in the one report that follows an epoch's validation; loss and accuracy are those of the epoch. */
  readonly epochDone?: true
}

/** A trained model and its curve. */
export interface Trained {
  /** The model of the best epoch, in the form of the one that was given. */
  readonly model: Model
  readonly epochs: readonly EpochRecord[]
  readonly bestEpoch: number
}
