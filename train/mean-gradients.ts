// The mean gradient of a loss over some batches: what Taylor criteria of pruning look at.
import { throwIfAborted } from '../base/errors.ts'
import type { Model } from '../onnx/graph.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../onnx/passes/dead-nodes.ts'
import { sizeOf, type Tensor, tensorOf } from '../onnx/tensor.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { withSession } from '../runtime/session.ts'
import { layOut, pack } from './flat.ts'
import type { TrainingBatch, TrainSettings } from './loop.ts'
import { standard } from './lowerings/standard.ts'
import type { LossOptions } from './options.ts'
import { differentiate } from './training-graph.ts'

/** What the gradient is taken of. */
export interface MeanGradientSettings {
  readonly losses: readonly LossOptions[]
  readonly classes: number
  /** Batches of one size, at least one. */
  readonly batches: Iterable<TrainingBatch>
  readonly batch: number
  readonly teacherLogits?: TrainSettings['teacherLogits']
  readonly threads: number
  readonly provider: ProviderName
  readonly where?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The gradient of the loss averaged over the batches, by the name of each trainable initializer.
 *
 * BatchNormalization keeps its inference form, so that the gradient is that of the model as it answers.
 */
export async function meanGradients(
  model: Model,
  settings: MeanGradientSettings,
): Promise<Map<string, Float32Array>> {
  const { batch, classes, losses, threads, provider, where } = settings
  const options = { batch, classes, losses, freeze: [], lowering: standard, where }
  const {
    g,
    graph,
    weights,
    gradients,
    input,
    inputDims,
    model: step,
  } = await differentiate(model, options, false)
  g.output('gradient', pack(g, gradients))
  removeDeadNodes(graph)
  removeUnusedInitializers(graph)
  const { slots, length } = layOut(weights)
  const sum = new Float64Array(length)
  const gradient = new Float32Array(length)
  let count = 0
  await withSession(step, { threads, provider, spinning: true }, async (session) => {
    for (const samples of settings.batches) {
      throwIfAborted(settings.signal)
      // The native call blocks; let timers and signals have their turn.
      await new Promise(setImmediate)
      const targets = new Float32Array(batch * classes)
      for (const [row, label] of samples.labels.entries()) targets[row * classes + label] = 1
      const feeds: Record<string, Tensor> = {
        [input.name]: tensorOf('float32', inputDims, samples.inputs.subarray(0, sizeOf(inputDims))),
        targets: tensorOf('float32', [batch, classes], targets),
      }
      if (settings.teacherLogits)
        feeds.teacher = tensorOf('float32', [batch, classes], await settings.teacherLogits(samples))
      const fed = new Set(session.inputs.map(({ name }) => name))
      await session.run(
        Object.fromEntries(Object.entries(feeds).filter(([name]) => fed.has(name))),
        {
          gradient: tensorOf('float32', [length], gradient),
        },
      )
      for (let index = 0; index < length; index++) sum[index]! += gradient[index]!
      count++
    }
  })
  return new Map(
    slots.map(({ name, offset, size }) => [
      name,
      Float32Array.from(sum.subarray(offset, offset + size), (value) => value / count),
    ]),
  )
}
