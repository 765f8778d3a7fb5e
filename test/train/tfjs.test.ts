// TensorFlow.js as an engine, with its own automatic differentiation, against our gradient graph on ONNX Runtime.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { type ArchitectureOptions, architectures, buildArchitecture } from '../../models/index.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import type { LossOptions } from '../../train/options.ts'
import type { Definition } from '../../train/training-graph.ts'
import { itWithShared } from '../support/shared.ts'
import { backends, compareEngines, type Difference, type Inputs } from './cross-engine.ts'
import { drawInputs, matching, realModels } from './real-models.ts'
import { dropoutNet, classes as patternClasses } from './support.ts'

const small: readonly ArchitectureOptions[] = [
  { architecture: 'mlp', hidden: [16, 8] },
  { architecture: 'lenet', channels: [3, 4], hidden: [10] },
  { architecture: 'resnet', depth: 8, width: 4 },
  { architecture: 'mobilenet', width: 0.125 },
]
const [batch, classes, shape] = [4, 5, [2, 12, 12]] as const
const losses: readonly LossOptions[] = [
  { loss: 'cross-entropy', weight: 0.5, labelSmoothing: 0.1 },
  { loss: 'kl', weight: 1, temperature: 3 },
]
const update: Definition['update'] = {
  optimizer: { name: 'sgd', rate: 1, momentum: 0, nesterov: false, weightDecay: 0 },
}
/** Normally distributed content for every input. */
const drawn: Inputs = (feeds) =>
  feeds.map(({ name, dims }) => {
    const source = random(5, name)
    const values = Float32Array.from({ length: sizeOf(dims) }, () => source.normal())
    return tensorOf('float32', dims, values)
  })

const expectNear = (difference: Difference) => {
  for (const apart of Object.values(difference)) expect(apart).toBeLessThan(1e-4)
}

it('is tried on every architecture', () => {
  expect(small.map(({ architecture }) => architecture).sort()).toEqual(
    Object.keys(architectures).sort(),
  )
})

describe.each(backends)('TensorFlow.js on %s', (backend) => {
  it.each(small)('agrees on loss and gradient of $architecture', async (options) => {
    const model = buildArchitecture(options, { shape, classes, seed: 3 })
    const forward = { batch, losses, classes, freeze: [], batchStatistics: true, dropout: true }
    expectNear(await compareEngines({ model, forward, update }, drawn, backend))
  })

  it('agrees on loss and gradient of a net with Dropout', async () => {
    const forward = {
      ...{ batch, losses, classes: patternClasses, freeze: [] },
      ...{ batchStatistics: true, dropout: true },
    }
    expectNear(await compareEngines({ model: dropoutNet(), forward, update }, drawn, backend))
  })

  const quick = realModels.filter(({ file }) => /^(mnist|byte-sb|silero)/.test(file))
  itWithShared.each(quick)('agrees on loss and gradient of $file', async (real) => {
    const few = { ...real, batch: Math.min(2, real.batch) }
    const definition = await matching(few)
    const inputs: Inputs = (feeds) => drawInputs(feeds, few, 1)
    expectNear(await compareEngines(definition, inputs, backend))
  })
})
