// The gradients that criteria of first order need.
import { batches } from '../../data/batches.ts'
import type { Batch } from '../../data/dataset.ts'
import type { Model } from '../../onnx/graph.ts'
import { meanGradients } from '../../train/mean-gradients.ts'
import type { StageContext } from '../stage.ts'
import { requiredData } from '../training.ts'
import type { Gradients } from './scores.ts'

/** Samples that go through the model at once. */
const batchSize = 64

/** Gradients at most; each is a training graph of its own. */
const mostGradients = 16

/**
 * Gradients of the cross-entropy with the labels by initializer, each over a part of the calibration samples.
 *
 * Parts keep apart what a mean over all samples would cancel out.
 */
export async function lossGradients(
  model: Model,
  samples: number,
  context: StageContext,
): Promise<Gradients[]> {
  const { calibration, train } = requiredData(context)
  const available = Math.min(samples, calibration.size)
  const batch = Math.min(batchSize, available)
  const count = Math.floor(available / batch)
  const parts = Math.min(count, mostGradients)
  const { threads, provider, signal } = context
  const source = batches(calibration, { size: batch, dropLast: true })
  const found: Gradients[] = []
  for (let part = 0; part < parts; part++) {
    const length = Math.floor(((part + 1) * count) / parts) - Math.floor((part * count) / parts)
    const gradients = await meanGradients(model, {
      losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
      classes: train.classes.length,
      batches: next(length, source),
      batch,
      threads,
      provider,
      signal,
    })
    found.push(gradients)
  }
  return found
}

/** The next batches of an iterator, which goes on afterwards. */
function* next(count: number, source: Iterator<Batch, void>): Generator<Batch, void, void> {
  for (let taken = 0; taken < count; taken++) {
    const { value } = source.next()
    if (value) yield value
  }
}
