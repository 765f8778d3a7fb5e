// The batches of a whole training: made in a worker while the step runs where that pays, and in
// this thread otherwise; they are the same bit by bit.
import type { ColumnMemory } from '../base/samples.ts'
import { changesSamples } from './augment.ts'
import { type BatchMaker, type BatchOptions, batches, batchMaker } from './batches.ts'
import type { Batch, Dataset } from './dataset.ts'
import { type BatchWorker, hasWorkers, startBatchWorker } from './worker.ts'

/** Batches that a worker makes before they are asked for. */
const ahead = 2

/** The batches of the epochs of a training. */
export interface BatchStream {
  /**
   * Goes through an epoch, batch by batch, from batch number `from` on.
   *
   * A batch is valid until the next one is asked for: then its memory is used again.
   */
  epoch(epoch: number, from?: number): Iterable<Batch> | AsyncIterable<Batch>
  /** Ends the worker, if there is one. */
  close(): Promise<void>
}

/**
 * Opens the batches of a data set. A worker is started with the first epoch; it never keeps the
 * process alive for longer than a batch, but should be closed.
 *
 * Samples that stay as they are cost less to read than to hand from thread to thread, so they are
 * read in this one. Options that do not fit the samples are a `UserError`.
 */
export function openBatches(dataset: Dataset, options: BatchOptions): BatchStream {
  const maker = batchMaker(dataset, options)
  const { recipe } = dataset
  if (!hasWorkers || !changesSamples(options.augment))
    return {
      epoch: (epoch, from = 0) => batches(dataset, { ...options, epoch, from }),
      close: async () => undefined,
    }
  let worker: BatchWorker | undefined
  return {
    epoch(epoch, from = 0) {
      worker ??= startBatchWorker(recipe, options)
      return epochOf(worker, { epoch, from, maker })
    },
    async close() {
      await worker?.close()
      worker = undefined
    },
  }
}

interface Epoch {
  readonly epoch: number
  readonly from: number
  readonly maker: BatchMaker
}

/** Batches in order; a batch is asked for when there is memory for it, and so never more than two ahead. */
async function* epochOf(
  worker: BatchWorker,
  { epoch, from, maker }: Epoch,
): AsyncGenerator<Batch, void, void> {
  const coming: ReturnType<BatchWorker['ask']>[] = []
  let number = from
  const ask = (columns: readonly ColumnMemory[]) => {
    if (number < maker.count) coming.push(worker.ask({ epoch, number: number++, columns }))
  }
  for (let batch = 0; batch < ahead + 1; batch++) ask(maker.memory())
  for (let next = coming.shift(); next; next = coming.shift()) {
    const { batch, columns } = (await next)()
    yield batch
    ask(columns)
  }
}
