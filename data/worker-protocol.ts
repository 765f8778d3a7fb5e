// What the main thread and the worker that makes batches say to each other.
import type { BatchOptions } from './batches.ts'
import type { Batch, DatasetRecipe } from './dataset.ts'

/** What a worker is started with. */
export interface WorkerOrder {
  readonly recipe: DatasetRecipe
  readonly options: BatchOptions
}

/** Asks for a batch; the memory of `inputs` is handed over, and comes back with the answer. */
export interface BatchRequest {
  readonly epoch: number
  readonly number: number
  readonly inputs: Float32Array<ArrayBuffer>
}

/** Answers a request; requests are answered in order. */
export type BatchReply = { readonly batch: Batch } | { readonly error: BatchError }

/** Why there is no batch. */
export interface BatchError {
  readonly message: string
  /** True where it was a `UserError`. */
  readonly user: boolean
}
