// The worker that makes batches: a request in, a batch out, until the main thread has enough.
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf, UserError } from '../base/errors.ts'
import { type BatchMaker, batchMaker } from './batches.ts'
import { imageDataset } from './images.ts'
import type { BatchReply, BatchRequest, WorkerOrder } from './worker-protocol.ts'

if (!parentPort) throw new Error('internal: this file runs in a worker thread')
const port = parentPort
const { recipe, options } = workerData as WorkerOrder // it is started with nothing else
let maker: BatchMaker | undefined

port.on('message', ({ epoch, number, inputs }: BatchRequest) => {
  const answer = (reply: BatchReply) => port.postMessage(reply, [inputs.buffer])
  try {
    maker ??= batchMaker(imageDataset(recipe), options)
    answer({ batch: maker.make(epoch, number, inputs) })
  } catch (thrown) {
    answer({ error: { message: messageOf(thrown), user: thrown instanceof UserError } })
  }
})
