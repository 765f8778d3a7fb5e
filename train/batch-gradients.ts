// The gradient of a loss for each of some batches: what Taylor criteria of pruning look at.
import { throwIfAborted } from '../base/errors.ts'
import type { Model, Value } from '../onnx/graph.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../onnx/passes/dead-nodes.ts'
import { type Tensor, tensorOf } from '../onnx/tensor.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { openSession } from '../runtime/session.ts'
import { FeedMemory } from './feed-memory.ts'
import { layOut, pack } from './flat.ts'
import { type Forward, forwardPass } from './forward.ts'
import { freelyNamed } from './free-names.ts'
import type { LossOptions } from './losses.ts'
import { standard } from './lowerings/standard.ts'
import type { TrainingBatch, TrainSettings } from './settings.ts'
import { differentiate } from './training-graph.ts'

/** What the gradient is taken of. */
export interface BatchGradientSettings {
  readonly losses: readonly LossOptions[]
  readonly classes?: number | undefined
  /** How many target values a sample has. */
  readonly targetWidth?: number | undefined
  /** So many consecutive samples of a batch belong together. */
  readonly group?: number | undefined
  /** Batches of one size, at least one. */
  readonly batches: Iterable<TrainingBatch> | AsyncIterable<TrainingBatch>
  readonly batch: number
  /** Numbers for free dimensions by name (see `fixDims`). */
  readonly dims?: TrainSettings['dims']
  /** Inputs of the model that always have the same content, by name; batches leave them out. */
  readonly constants?: TrainSettings['constants']
  readonly teacher?: TrainSettings['teacher']
  readonly threads: number
  readonly provider: ProviderName
  readonly where?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Gives the gradient of the loss for one batch after the other, by the name of each trainable initializer.
 *
 * BatchNormalization keeps its inference form, so that the gradient is that of the model as it answers. The arrays are
 * views that the next batch overwrites.
 */
export const batchGradients = (
  model: Model,
  settings: BatchGradientSettings,
): AsyncGenerator<ReadonlyMap<string, Float32Array>, void, void> =>
  eachBatch(model, settings, (pass) => pack(pass.g, differentiate(pass, standard, settings.where)))

/** Fills what is fed besides the batches, before each of them. */
export interface Fed {
  readonly feeds: Readonly<Record<string, Tensor>>
  refill(): void
}

/**
 * Gives one number for each trainable weight for one batch after the other, by the name of the initializer.
 *
 * `write` makes the flat vector of them behind a forward pass; `fed`, given its length, is what else that needs.
 */
export async function* eachBatch(
  model: Model,
  settings: BatchGradientSettings,
  write: (pass: Forward) => Value | Promise<Value>,
  fed: (length: number) => Fed = () => ({ feeds: {}, refill: () => undefined }),
): AsyncGenerator<ReadonlyMap<string, Float32Array>, void, void> {
  const { batch, dims, constants, losses, threads, provider, where, teacher, signal } = settings
  const { classes, targetWidth, group } = settings
  const named = freelyNamed(model)
  const pass = await forwardPass(named.model, {
    ...{ batch, dims, constants, classes, targetWidth, group, losses, where },
    ...{ freeze: [], batchStatistics: false, dropout: false },
  })
  const { g, graph, weights, feeds } = pass
  g.output('gradient', await write(pass))
  removeDeadNodes(graph)
  removeUnusedInitializers(graph)
  const { slots, length } = layOut(weights)
  const gradient = new Float32Array(length)
  const memory = new FeedMemory(feeds, 1)
  const besides = fed(length)
  const fetches = { gradient: tensorOf('float32', [length], gradient) }
  const byName = new Map(
    slots.map(({ name, offset, size }) => [
      named.given(name),
      gradient.subarray(offset, offset + size),
    ]),
  )
  const session = await openSession(pass.model, { threads, provider, spinning: true })
  try {
    const read = new Set(session.inputs.map(({ name }) => name))
    let step = 0
    for await (const samples of settings.batches) {
      throwIfAborted(signal)
      // The native call blocks; let timers and signals have their turn.
      await new Promise(setImmediate)
      memory.write(0, samples, teacher && (await teacher(samples)))
      memory.draw(0, { seed: 0, step: step++, steps: 1 })
      besides.refill()
      // A loss that compares with the teacher alone has no use for labels.
      const used = Object.entries({ ...memory.tensors(), ...besides.feeds }).filter(([name]) =>
        read.has(name),
      )
      await session.run(Object.fromEntries(used), fetches)
      yield byName
    }
  } finally {
    await session.dispose()
  }
}
