// What the main thread and the worker that makes batches say to each other.
import type { ColumnMemory } from '../base/samples.ts'
import type { BatchOptions } from './batches.ts'
import type { Batch, DatasetRecipe } from './dataset.ts'

/** What a worker is started with. */
export interface WorkerOrder {
  readonly recipe: DatasetRecipe
  readonly options: BatchOptions
}

/** Asks for a batch; the memory of `columns` is handed over, and comes back with the answer. */
export interface BatchRequest {
  readonly epoch: number
  readonly number: number
  readonly columns: readonly ColumnMemory[]
}

/** Answers a request; requests are answered in order. `columns` is the memory of the request, whole. */
export type BatchReply =
  | { readonly batch: Batch; readonly columns: readonly ColumnMemory[] }
  | { readonly error: BatchError }

/** Why there is no batch. */
export interface BatchError {
  readonly message: string
  /** True where it was a `UserError`. */
  readonly user: boolean
}

/** The memory of columns, as threads hand it over. */
export const buffersOf = (columns: readonly ColumnMemory[]): ArrayBuffer[] =>
  // It is made by `columnMemory`, never shared.
  columns.map(({ buffer }) => buffer as ArrayBuffer)
