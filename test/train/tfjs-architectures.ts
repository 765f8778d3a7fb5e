// Architectures on TensorFlow.js, with its own automatic differentiation, against our gradient graph on ONNX Runtime.
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { type ArchitectureInput, buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import type { TfBackend } from '../../train/engines/tfjs/tensorflow.ts'
import type { LossOptions } from '../../train/losses.ts'
import type { Definition } from '../../train/training-graph.ts'
import { content, examples } from '../models/examples.ts'
import { compareEngines, type Difference, type Inputs } from './cross-engine.ts'

/** Small models that are trained with two losses, those that take long apart. */
export const small = {
  quick: [
    { architecture: 'mlp', hidden: [16, 8] },
    { architecture: 'lenet', channels: [3, 4], hidden: [10] },
    { architecture: 'resnet', depth: 8, width: 4 },
  ],
  slow: [
    { architecture: 'mobilenet', width: 0.125 },
    { architecture: 'mobilenet-v3-small', width: 0.05, stride: 32 },
  ],
} satisfies Record<string, readonly ArchitectureInput[]>

type Example = (typeof examples)[number]

/** Without those that take minutes on this backend, and those with ReverseSequence, which it has not. */
const others: readonly Example[] = examples.filter(
  ([what, { architecture }, { inputs }]) =>
    !/mobilenet-|vgg|ds-cnn/.test(what) && !(architecture === 'bilstm-tagger' && inputs.length > 1),
)
const isSlow = ([what]: Example) =>
  /^(mobilenet|wide-resnet|resnet|autoencoder of images$)/.test(what)

/** Examples, those that take long apart. */
export const comparable = {
  quick: others.filter((example) => !isSlow(example)),
  slow: others.filter(isSlow),
}

export const [batch, classes] = [4, 5]
export const shape = [2, 12, 12] as const
export const losses: readonly LossOptions[] = [
  { loss: 'cross-entropy', weight: 0.5, labelSmoothing: 0.1 },
  { loss: 'kl', weight: 1, temperature: 3, standardise: false },
]
export const update: Definition['update'] = {
  optimizer: { name: 'sgd', rate: 1, momentum: 0, nesterov: false, weightDecay: 0 },
}
/** Normally distributed content for every input. */
export const drawn: Inputs = (feeds) =>
  feeds.map(({ name, dims }) => {
    const source = random(5, name)
    const values = Float32Array.from({ length: sizeOf(dims) }, () => source.normal())
    return tensorOf('float32', dims, values)
  })

/** Expects the engines to be no further apart than rounding. */
export const expectNear = (difference: Difference): void => {
  for (const apart of Object.values(difference)) expect(apart).toBeLessThan(1e-4)
}

/** Expects the engines to agree on one of {@link small}. */
export async function expectAgreement(options: ArchitectureInput, backend: TfBackend) {
  const model = buildArchitecture(options, { ...oneInput(shape, classes), seed: 3 })
  const forward = { batch, losses, classes, freeze: [], batchStatistics: true, dropout: true }
  expectNear(await compareEngines({ model, forward, update }, drawn, backend))
}

/** Expects the engines to agree on an example. */
export async function expectExampleAgreement([, options, samples]: Example, backend: TfBackend) {
  const model = buildArchitecture(options, { ...samples, seed: 3 })
  const terms: readonly LossOptions[] = [{ loss: 'match', weight: 1 }]
  const forward = { batch, losses: terms, freeze: [], batchStatistics: true, dropout: true }
  const inputs: Inputs = () => samples.inputs.map((input) => content(input, 0, batch))
  expectNear(await compareEngines({ model, forward, update }, inputs, backend))
}
