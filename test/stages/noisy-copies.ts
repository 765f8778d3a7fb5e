// Self-distillation of models that carry state: a noisy copy learns what the disturbance took away.
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { InputSource } from '../../base/samples.ts'
import type { Dataset } from '../../data/dataset.ts'
import { storedDataset } from '../../data/stored-dataset.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, type Model } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { distill } from '../../stages/distill/index.ts'
import { tasks } from '../../tasks/index.ts'
import { datasetOf } from '../support/samples.ts'
import { sharedModel } from '../support/shared.ts'
import { contextOf } from './support.ts'

/** Sums of waves of `length` values. */
export function waves(
  size: number,
  length: number,
  inputs: Readonly<Record<string, InputSource>>,
  seed: number,
): Dataset {
  const { recipe } = datasetOf({
    source: `waves ${seed}`,
    shape: [length],
    classes: [],
    labels: new Int32Array(size),
    write(index, into) {
      const source = random(seed, index)
      for (let at = 0; at < length; at++) into[at] = source.normal()
    },
  })
  return storedDataset({ ...recipe, inputs })
}

/** A copy whose weights (in subgraphs too) are a little off. */
export function noisy(model: Model, amount: number): Model {
  const copy = cloneModel(model)
  const source = random(11)
  const shake = (values: Float32Array): Float32Array => {
    const size = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length)
    return values.map((value) => value + amount * size * source.normal())
  }
  for (const value of copy.graph.initializers)
    if (value.tensor?.dtype === 'float32' && value.tensor.size > 1)
      value.tensor = tensorOf(
        'float32',
        value.tensor.dims,
        shake(elements(value.tensor, 'float32')),
      )
  for (const node of allNodes(copy.graph)) {
    const constant = node.attributes.get('value')
    if (constant?.type !== 'tensor' || constant.value.dtype !== 'float32') continue
    const { dims, size } = constant.value
    if (size < 2) continue
    const value = tensorOf('float32', dims, shake(elements(constant.value, 'float32')))
    node.attributes.set('value', { type: 'tensor', value })
  }
  return copy
}

/** Self-distillation of a noisy copy; gives the mean losses of the epochs and the trained model. */
export async function recovered(
  teacher: Model,
  student: Model,
  data: { readonly train: Dataset; readonly validation: Dataset },
  options: object,
): Promise<{ readonly losses: readonly number[]; readonly model: Model }> {
  const { context } = contextOf(teacher)
  const splits = { ...data, calibration: data.train, test: data.validation }
  const { model, facts } = await distill.run(
    { model: student, facts: {} },
    distill.options.parse({ stage: 'distill', ...options }),
    { ...context, data: splits, task: tasks.match },
  )
  return { losses: facts.epochs!.map(({ loss }) => loss), model }
}

/** Expects a noisy copy of a voice detector to learn from it. */
export async function expectVoiceLearned(name: string): Promise<void> {
  const teacher = await loadModel(sharedModel(`${name}.onnx`))
  const inputs = {
    input: { column: 'x', chunk: 512 },
    state: { carry: 'stateN' },
    sr: { constant: 16000 },
  }
  const data = {
    train: waves(8, 3 * 512, inputs, 1),
    validation: waves(2, 3 * 512, inputs, 2),
  }
  const { losses, model } = await recovered(teacher, noisy(teacher, 0.02), data, {
    epochs: 8,
    batch: 4,
    optimizer: { name: 'adamw', rate: 2e-5 },
  })
  expect(losses.at(-1)!).toBeLessThan(0.9 * losses[0]!)
  expect(model.graph.inputs.map((input) => input.name)).toEqual(
    teacher.graph.inputs.map((input) => input.name),
  )
}
