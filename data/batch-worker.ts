// The worker that makes batches: a request in, a batch out, until the main thread has enough.
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf, UserError } from '../base/errors.ts'
import { type BatchMaker, batchMaker } from './batches.ts'
import { storedDataset } from './stored-dataset.ts'
import {
  type BatchReply,
  type BatchRequest,
  buffersOf,
  type WorkerOrder,
} from './worker-protocol.ts'

if (!parentPort) throw new Error('internal: this file runs in a worker thread')
const port = parentPort
const { recipe, options } = workerData as WorkerOrder // it is started with nothing else
let maker: BatchMaker | undefined

port.on('message', ({ epoch, number, columns }: BatchRequest) => {
  const answer = (reply: BatchReply) => port.postMessage(reply, buffersOf(columns))
  try {
    maker ??= batchMaker(storedDataset(recipe), options)
    answer({ batch: maker.make(epoch, number, columns), columns })
  } catch (thrown) {
    answer({ error: { message: messageOf(thrown), user: thrown instanceof UserError } })
  }
})
