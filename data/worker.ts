// The main thread's side of the worker that makes batches.
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { UserError } from '../base/errors.ts'
import type { BatchOptions } from './batches.ts'
import type { DatasetRecipe } from './dataset.ts'
import {
  type BatchReply,
  type BatchRequest,
  buffersOf,
  type WorkerOrder,
} from './worker-protocol.ts'

/** A worker thread that makes batches. */
export interface BatchWorker {
  /**
   * Asks for a batch; the memory of `columns` is handed over and comes back with the batch.
   *
   * Waits as long as it takes; what goes wrong in the worker is thrown by the function it gives,
   * a `UserError` as such.
   */
  ask(request: BatchRequest): Promise<() => Exclude<BatchReply, { error: unknown }>>
  /** Ends the worker; batches that are still owed are not made. */
  close(): Promise<void>
}

/** Whether workers can be started: Node runs no TypeScript in them, so sources cannot. */
export const hasWorkers = extname(fileURLToPath(import.meta.url)) === '.js'

/**
 * Starts a worker for the batches of a data set.
 *
 * It keeps the process alive only while it owes a batch.
 */
export function startBatchWorker(recipe: DatasetRecipe, options: BatchOptions): BatchWorker {
  const order: WorkerOrder = { recipe, options }
  const worker = new Worker(new URL('./batch-worker.js', import.meta.url), {
    workerData: order,
    name: 'batches',
    execArgv: [],
  })
  worker.unref()
  const owed: ((reply: BatchReply) => void)[] = []
  let ended: BatchReply | undefined
  const end = (message: string) => {
    ended ??= { error: { message, user: false } }
    for (const answer of owed.splice(0)) answer(ended)
  }
  worker.on('message', (reply: BatchReply) => {
    // While it is being closed, it is waited for.
    if (ended) return
    owed.shift()?.(reply)
    if (owed.length === 0) worker.unref()
  })
  worker.on('error', (error) => end(`the worker that makes batches failed: ${error.message}`))
  worker.on('exit', (code) => end(`the worker that makes batches ended with exit code ${code}`))
  return {
    async ask(request) {
      // Never rejected: a batch that nobody waits for any more must not end the process.
      const reply = await new Promise<BatchReply>((resolve) => {
        if (ended) return resolve(ended)
        if (owed.length === 0) worker.ref()
        owed.push(resolve)
        worker.postMessage(request, buffersOf(request.columns))
      })
      return () => {
        if ('batch' in reply) return reply
        const { message, user } = reply.error
        throw user ? new UserError(message) : new Error(message)
      }
    },
    async close() {
      end('the worker that makes batches was closed')
      await worker.terminate()
    },
  }
}
