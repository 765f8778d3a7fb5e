// The gradients that criteria of first order need.
import { batches } from '../../data/batches.ts'
import type { Model } from '../../onnx/graph.ts'
import { batchGradients } from '../../train/batch-gradients.ts'
import { feedingOf } from '../feeding.ts'
import type { StageContext } from '../stage.ts'
import { requiredData } from '../training.ts'
import type { Gradients } from './scores.ts'

/** Samples that go through the model at once. */
const batchSize = 64

/** Gradients that are kept at most: beyond that, those of neighbouring batches are added up. */
const mostGradients = 16

/**
 * Gradients of the task's losses with the labels by initializer, each over a part of the calibration samples.
 *
 * Parts keep apart what a mean over all samples would cancel out.
 */
export async function lossGradients(
  model: Model,
  samples: number,
  context: StageContext,
): Promise<Gradients[]> {
  const { calibration } = requiredData(context)
  const { task } = context
  const available = Math.min(samples, calibration.size)
  const batch = Math.min(batchSize, available)
  const count = Math.floor(available / batch)
  const { threads, provider, signal } = context
  const {
    dims,
    constants,
    classes,
    targetWidth,
    group,
    columns,
    batches: fed,
  } = feedingOf(model.graph, calibration, task, batch)
  const chosen = firstOf(batches(calibration, { size: batch, dropLast: true, columns }), count)
  const found = batchGradients(model, {
    losses: task.losses,
    ...{ dims, constants, classes, targetWidth, group },
    batches: fed(chosen),
    batch,
    threads,
    provider,
    signal,
  })
  const perPart = Math.ceil(count / mostGradients)
  const parts: Map<string, Float32Array>[] = []
  let taken = 0
  for await (const gradients of found) {
    const part = parts[Math.floor(taken++ / perPart)]
    if (part) add(part, gradients)
    else parts.push(new Map([...gradients].map(([name, values]) => [name, values.slice()])))
  }
  return parts
}

function add(sum: Gradients, gradients: Gradients): void {
  for (const [name, values] of gradients) {
    const total = sum.get(name)!
    for (const [index, value] of values.entries()) total[index]! += value
  }
}

/** The first items of an iterable. */
function* firstOf<Item>(items: Iterable<Item>, count: number): Generator<Item, void, void> {
  let taken = 0
  for (const item of items) {
    if (taken++ === count) return
    yield item
  }
}
