// Where the answers of one teacher come from.
import type { TrainingBatch } from '../../train/settings.ts'
import type { Manner } from './answers.ts'

/** The answers of one teacher. */
export interface Source {
  readonly manner: Manner
  /** The arrays of a batch, `[size, width]` each; the memory may be used for the next batch. */
  ask(batch: TrainingBatch): Promise<readonly Float32Array[]>
  close(): Promise<void>
}
