// The gradients that criteria of first order need.
import { batches } from '../../data/batches.ts'
import type { Batch } from '../../data/dataset.ts'
import type { Model } from '../../onnx/graph.ts'
import { meanGradients } from '../../train/mean-gradients.ts'
import type { StageContext } from '../stage.ts'
import { requiredData } from '../training.ts'
import type { Gradients } from './scores.ts'

/** Samples that go through the model at once. */
const most = 64

/** The mean gradient of the cross-entropy with the labels, over calibration samples, by initializer. */
export function lossGradients(
  model: Model,
  samples: number,
  context: StageContext,
): Promise<Gradients> {
  const { calibration, train } = requiredData(context)
  const size = Math.min(most, samples, calibration.size)
  const count = Math.max(1, Math.floor(Math.min(samples, calibration.size) / size))
  const { threads, provider, signal } = context
  return meanGradients(model, {
    losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
    classes: train.classes.length,
    batches: first(count, batches(calibration, { size, dropLast: true })),
    batch: size,
    threads,
    provider,
    signal,
  })
}

function* first(count: number, all: Iterable<Batch>): Generator<Batch, void, void> {
  let taken = 0
  for (const batch of all) {
    yield batch
    if (++taken === count) return
  }
}
