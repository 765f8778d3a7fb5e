// Re-estimation of BatchNormalization: after a cut its running statistics are those of sums that are no more.
import { throwIfAborted } from '../../base/errors.ts'
import { batches } from '../../data/batches.ts'
import { build } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { layOut, pack } from '../../train/flat.ts'
import { prepare } from '../../train/prepare.ts'
import { trainBatchNormalization, writeOutBatchNormalization } from '../../train/training-form.ts'
import { withWeights } from '../../train/weights.ts'
import { feedingOf } from '../feeding.ts'
import type { Recalibrated, Recalibration } from '../recalibrate.ts'
import type { StageContext } from '../stage.ts'
import { trainable } from '../trainable.ts'

/** Samples whose statistics are taken together. */
const batchSize = 64

/**
 * Sets means and variances of all BatchNormalization to those over calibration samples that go through the model in
 * batches, each normalized by its own statistics (Wu and Johnson 2021, section 3, "precise" statistics).
 */
export async function estimateNormalizations(
  { model, calibration, samples }: Recalibration,
  context: StageContext,
): Promise<Recalibrated> {
  const { task, threads, provider, signal } = context
  const whole = trainable(model, calibration)
  const data = whole.samples(calibration)
  const size = Math.min(batchSize, samples, data.size)
  const feeding = feedingOf(whole.model.graph, data, task, size)
  const { dims = {}, constants = {} } = feeding
  const prepared = await prepare(whole.model, { batch: size, dims, constants })
  const { graph } = prepared
  const statistics = trainBatchNormalization(graph, new Set()).map((entry) =>
    writeOutBatchNormalization(graph, entry),
  )
  if (statistics.length === 0) return { model, summary: 'there is no BatchNormalization' }
  const g = build(graph)
  const running = [
    ...statistics.map(({ runningMean }) => runningMean),
    ...statistics.map(({ runningVariance }) => runningVariance),
  ]
  const found = pack(g, [
    ...statistics.map(({ batchMean }) => batchMean),
    ...statistics.map(({ batchVariance }) => batchVariance),
  ])
  graph.outputs.splice(0, graph.outputs.length, found)
  removeDeadNodes(graph)
  const { slots, length } = layOut(running)
  const channels = length / 2
  const [means, squares, variances] = [0, 1, 2].map(() => new Float64Array(channels)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const names = graph.feeds.map(({ name }) => name)
  const content = new Float32Array(length)
  let count = 0
  await withSession(prepared.model, { provider, threads, where: 'statistics' }, async (session) => {
    const order = { size, dropLast: true, columns: feeding.columns }
    for await (const { inputs } of feeding.batches(batches(data, order))) {
      if (count === Math.floor(samples / size)) break
      throwIfAborted(signal)
      // The native call blocks; let timers and signals have their turn.
      await new Promise(setImmediate)
      const fed = Object.fromEntries(
        prepared.inputs.map((input, index) => [input.name, fedTensor(input, inputs[index]!)]),
      )
      const wanted = Object.fromEntries(names.map((name) => [name, fed[name]!]))
      await session.run(wanted, { [found.name]: tensorOf('float32', [length], content) })
      for (let channel = 0; channel < channels; channel++) {
        const mean = content[channel]!
        means[channel]! += mean
        squares[channel]! += mean ** 2
        variances[channel]! += content[channels + channel]!
      }
      count++
    }
  })
  // The variance over all samples: that within batches, and that of their means.
  for (let channel = 0; channel < channels; channel++) {
    const mean = means[channel]! / count
    content[channel] = mean
    content[channels + channel] =
      variances[channel]! / count + Math.max(0, squares[channel]! / count - mean ** 2)
  }
  return {
    model: whole.restore(withWeights(whole.model, [{ slots, content }])),
    summary: `took the statistics of ${statistics.length} BatchNormalization anew from ${count * size} samples`,
  }
}

/** The content of an input as a tensor. */
const fedTensor = ({ type }: Value, { buffer, byteOffset, byteLength }: ArrayBufferView): Tensor =>
  new Tensor(
    type?.dtype ?? 'float32',
    (type?.shape ?? []) as readonly number[],
    new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
  )
