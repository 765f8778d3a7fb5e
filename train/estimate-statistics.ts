// The running statistics of BatchNormalization for weights that no longer change: the means over one epoch.
import { throwIfAborted } from '../base/errors.ts'
import { tensorOf } from '../onnx/tensor.ts'
import { withSession } from '../runtime/session.ts'
import { FeedMemory } from './feed-memory.ts'
import type { TrainingBatch, TrainSettings } from './settings.ts'
import { type Definition, splitGraph } from './training-graph.ts'

/**
 * Gives the mean of the batches' statistics, laid out as the training has them, for given flat weights.
 *
 * (Izmailov et al. 2018, section 3.2, do so for averaged weights.)
 */
export async function estimateStatistics(
  definition: Definition,
  weights: Float32Array,
  batches: Iterable<TrainingBatch> | AsyncIterable<TrainingBatch>,
  { provider, threads, teacher, seed, signal, stepsPerEpoch }: TrainSettings,
): Promise<Float32Array> {
  const { forward, feeds, statistics } = await splitGraph(definition, 'update')
  const length = statistics.initial.length
  const memory = new FeedMemory(feeds, 1)
  const loss = new Float32Array(1)
  const found = new Float32Array(length)
  const sums = new Float64Array(length)
  let count = 0
  await withSession(forward, { provider, threads, where: 'statistics' }, async (session) => {
    const run = session.prepare(
      { ...memory.tensors(), weights: tensorOf('float32', [weights.length], weights) },
      {
        loss: tensorOf('float32', [], loss),
        batch_statistics: tensorOf('float32', [length], found),
      },
    )
    for await (const batch of batches) {
      throwIfAborted(signal)
      // The native call blocks; let timers and signals have their turn.
      await new Promise(setImmediate)
      memory.write(0, batch, teacher && (await teacher(batch)))
      memory.draw(0, { seed, step: count, steps: stepsPerEpoch })
      await run()
      for (let index = 0; index < length; index++) sums[index]! += found[index]!
      count++
    }
  })
  return Float32Array.from(sums, (sum) => sum / count)
}
