// The gradients that criteria need, of the task's losses with the labels of the calibration samples.
import { random } from '../../base/random.ts'
import { batches } from '../../data/batches.ts'
import type { Model } from '../../onnx/graph.ts'
import { batchGradients } from '../../train/batch-gradients.ts'
import { curvatures } from '../../train/curvature.ts'
import { feedingOf } from '../feeding.ts'
import { requiredData } from '../training.ts'
import type { Companions, Evidence } from './criteria/criterion.ts'

/** Samples that go through the model at once. */
const batchSize = 64

/** Samples of a batch for second derivatives: more batches are more directions. */
const curvatureBatch = 16

/** The gradient for one batch of 64 samples after the other: views that the next one overwrites. */
export const lossGradients = (model: Model, evidence: Evidence): AsyncIterable<Companions> =>
  batchGradients(model, settingsFor(model, evidence, batchSize))

/** The gradient for one sample after the other (or as many as belong together). */
export const sampleGradients = (model: Model, evidence: Evidence): AsyncIterable<Companions> =>
  batchGradients(model, settingsFor(model, evidence, 1))

/** The gradient of the mean loss of all samples. */
export async function* meanGradient(
  model: Model,
  evidence: Evidence,
): AsyncGenerator<Companions, void, void> {
  yield meanOf(lossGradients(model, evidence))
}

/** The diagonal of the Hessian of the mean loss: v ⊙ Hv, a random v of signs each batch (Hutchinson 1989). */
export async function* curvature(
  model: Model,
  evidence: Evidence,
): AsyncGenerator<Companions, void, void> {
  const settings = settingsFor(model, evidence, curvatureBatch)
  const source = random(evidence.context.seed, 'curvature')
  yield meanOf(curvatures(model, settings, () => (source.uniform() < 0.5 ? -1 : 1)))
}

/** The mean of all lots. */
async function meanOf(lots: AsyncIterable<Companions>): Promise<Companions> {
  const sums = new Map<string, Float64Array>()
  let count = 0
  for await (const companions of lots) {
    for (const [name, values] of companions) {
      const sum = sums.get(name) ?? new Float64Array(values.length)
      sums.set(name, sum)
      for (let at = 0; at < values.length; at++) sum[at]! += values[at]!
    }
    count++
  }
  return new Map(
    [...sums].map(([name, sum]) => [name, Float32Array.from(sum, (value) => value / count)]),
  )
}

/** How batches of so many of the first samples go through the model. */
function settingsFor(model: Model, { samples, context }: Evidence, wanted: number) {
  const { calibration } = requiredData(context)
  const { task, threads, provider, signal } = context
  const available = Math.min(samples, calibration.size)
  // What belongs together stays together.
  const together = Math.max(1, calibration.group)
  const batch = Math.max(
    together,
    Math.min(Math.ceil(wanted / together), Math.floor(available / together)) * together,
  )
  const {
    dims,
    constants,
    classes,
    targetWidth,
    group,
    columns,
    batches: fed,
  } = feedingOf(model.graph, calibration, task, batch)
  const chosen = firstOf(
    batches(calibration, { size: batch, dropLast: true, columns }),
    Math.floor(available / batch),
  )
  return {
    losses: task.losses,
    ...{ dims, constants, classes, targetWidth, group },
    batches: fed(chosen),
    ...{ batch, threads, provider, signal },
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
