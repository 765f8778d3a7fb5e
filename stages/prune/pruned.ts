// What pruning gives, whatever the structure.
import type { Model } from '../../onnx/graph.ts'
import type { KeptChannels } from '../kept-channels.ts'
import type { Facts } from '../stage.ts'

/** Masks of pruned weights by initializer: 1 where a weight lives, 0 where it is zero for good. */
export type Masks = ReadonlyMap<string, Float32Array>

/** A pruned copy of a model. */
export interface Pruned {
  readonly model: Model
  /** One line on what is gone, such as "cut 96 of 224 channels". */
  readonly summary: string
  /** What has to stay zero in recovery, where weights were zeroed and not cut out. */
  readonly masks?: Masks
  /** Which channels of the unpruned model's values are left, where some were cut out. */
  readonly kept?: KeptChannels
  /** What else was found out; the report reads it. */
  readonly facts?: Omit<Facts, 'summary'>
}

/** What one of several steps of pruning knows of those before. */
export interface Before {
  /** The model that the first step was given: targets and limits are shares of it, also in later steps. */
  readonly original: Model
  /** How much of all that is to go in the end is gone after this step, 0..1; 1 in the last. */
  readonly progress: number
  /** What is zero already. */
  readonly masks?: Masks | undefined
}
