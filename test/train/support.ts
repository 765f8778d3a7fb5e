// What the tests of whole trainings share: a small data set that can be learned, small models, and settings.
import { random } from '../../base/random.ts'
import { batches } from '../../data/batches.ts'
import type { Dataset } from '../../data/dataset.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { predict } from '../../runtime/predict.ts'
import { optimizerOptions } from '../../train/options.ts'
import type { TrainingBatch, TrainSettings } from '../../train/settings.ts'
import { datasetOf } from '../support/samples.ts'

export const shape = [2, 8, 8] as const
export const classes = 4
const width = shape[0] * shape[1] * shape[2]

/** Noisy copies of one random pattern a class. */
export function patterns(size: number, seed: number): Dataset {
  const template = random(0, 'patterns')
  const clean = Array.from({ length: classes }, () =>
    Float32Array.from({ length: width }, () => template.normal()),
  )
  const labels = Int32Array.from({ length: size }, (_, index) => index % classes)
  return datasetOf({
    source: 'patterns',
    shape,
    classes: ['a', 'b', 'c', 'd'],
    labels,
    write(index, into) {
      const noise = random(seed, index)
      for (let cell = 0; cell < width; cell++)
        into[cell] = clean[labels[index]!]![cell]! + 2 * noise.normal()
    },
  })
}

/** A residual net with BatchNormalization. */
export const residualNet = (): Model =>
  buildArchitecture(
    { architecture: 'resnet', depth: 8, width: 4 },
    { ...oneInput(shape, classes), seed: 1 },
  )

/** A perceptron with two Dropouts, in an older opset, with an input and an output of unusual names. */
export function dropoutNet(): Model {
  const { model, g } = newModel('dropout', 13)
  const source = random(5, 'dropout')
  const matrix = (rows: number, columns: number) =>
    tensorOf(
      'float32',
      [rows, columns],
      Float32Array.from({ length: rows * columns }, () => source.normal() / Math.sqrt(rows)),
    )
  const zeros = (length: number) => tensorOf('float32', [length], new Float32Array(length))
  const x = g.input('image:0', { dtype: 'float32', shape: ['batch', ...shape] })
  const first = g.Gemm(g.Flatten(g.Dropout(x, 0.1)), matrix(width, 24), zeros(24))
  const dropped = g.Dropout(g.Relu(first), 0.5)
  const answer = g.Softmax(g.Gemm(dropped, matrix(24, classes), zeros(classes)))
  g.output('answer:0', answer, { dtype: 'float32', shape: ['batch', classes] })
  model.metadata.set('author', 'somebody')
  return model
}

/** The batches of an epoch as a training takes them. */
export function* batchesOf(
  dataset: Dataset,
  size: number,
  epoch: number,
  from = 0,
): Generator<TrainingBatch, void, void> {
  const options = { size, seed: 9, epoch, from, shuffle: true, dropLast: true }
  for (const batch of batches(dataset, options)) yield { ...batch, inputs: batch.columns }
}

/** What is held out of the training on patterns. */
export const validation = patterns(64, 2)

/** The share of right answers. */
export async function accuracyOf(model: Model, samples: Dataset): Promise<number> {
  const { outputs } = await predict(model, samples)
  let right = 0
  for (const [row, label] of samples.labels.entries()) {
    const scores = outputs.subarray(row * classes, (row + 1) * classes)
    if (scores.indexOf(Math.max(...scores)) === label) right++
  }
  return right / samples.size
}

/** Settings of a short training on the patterns. */
export function settingsFor(
  options: Partial<TrainSettings['options']> = {},
  rest: Partial<TrainSettings> = {},
): TrainSettings {
  const training = patterns(96, 1)
  const size = options.batch ?? 16
  return {
    options: {
      epochs: 4,
      batch: size,
      optimizer: optimizerOptions.parse({ name: 'adamw', rate: 5e-3 }),
      schedule: 'cosine',
      freeze: [],
      ...options,
    },
    losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
    classes,
    batches: (epoch, from) => batchesOf(training, size, epoch, from),
    stepsPerEpoch: Math.floor(training.size / size),
    sample: shape,
    validate: (model) => accuracyOf(model, validation),
    seed: 9,
    threads: 1,
    provider: 'cpu',
    ...rest,
  }
}
