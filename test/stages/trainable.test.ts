// Training models that carry state: unrolled over the chunks of a sample, and back in their own form.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { InputSource } from '../../base/samples.ts'
import type { Dataset } from '../../data/dataset.ts'
import { storedDataset } from '../../data/stored-dataset.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, type Model } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, numbers, tensorOf } from '../../onnx/tensor.ts'
import { predict } from '../../runtime/predict.ts'
import { distill } from '../../stages/distill/index.ts'
import { trainable } from '../../stages/trainable.ts'
import { tasks } from '../../tasks/index.ts'
import { cell } from '../support/cell.ts'
import { datasetOf } from '../support/samples.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'
import { contextOf } from './support.ts'

const steps = 4

/** Sums of waves of `length` values. */
function waves(
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

const gruInputs = { x: { column: 'x', chunk: 3 }, h: { carry: 'nextH' } } as const

/** A copy whose weights (in subgraphs too) are a little off. */
function noisy(model: Model, amount: number): Model {
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
async function recovered(
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

describe('the trainable form', () => {
  it('of a model without state is the model', () => {
    const model = cell('gru')
    const { columns } = waves(1, 3, {}, 1)
    const plain = trainable(model, {
      columns: [...columns, { name: 'h', dtype: 'float32', shape: [1, 4] }],
      inputs: {},
    })
    expect(plain.model).toBe(model)
    expect(plain.restore(model)).toBe(model)
  })

  it('takes whole samples, and comes back as the model with its inputs and outputs', async () => {
    const model = cell('gru')
    const data = waves(6, 3 * steps, gruInputs, 1)
    const { model: whole, samples, restore } = trainable(model, data)
    const expected = await predict(model, data)
    const got = await predict(whole, samples(data))
    expect(got.width).toBe(expected.width)
    for (const [index, value] of got.outputs.entries())
      expect(value).toBeCloseTo(expected.outputs[index]!, 6)
    expect(samples(data).inputs).toEqual({ x: { column: 'x' } })
    expect(data.inputs).toEqual(gruInputs)
    const changed = noisy(whole, 0.1)
    const back = restore(changed)
    expect(back.graph.inputs.map(({ name, type }) => [name, type])).toEqual(
      model.graph.inputs.map(({ name, type }) => [name, type]),
    )
    expect(back.graph.outputs.map(({ name }) => name)).toEqual(
      model.graph.outputs.map(({ name }) => name),
    )
    const weightOf = ({ graph }: Model) =>
      numbers([...graph.initializers].find(({ name }) => name === 'z.r')!.tensor!)
    expect(weightOf(back)).toEqual(weightOf(changed))
    expect(weightOf(back)).not.toEqual(weightOf(model))
    const again = await predict(back, data)
    const changedOutputs = await predict(changed, samples(data))
    for (const [index, value] of again.outputs.entries())
      expect(value).toBeCloseTo(changedOutputs.outputs[index]!, 6)
  })

  it('is refused where samples have too many chunks', () => {
    const columns = [{ name: 'x', dtype: 'float32', shape: [3_000_000] }] as const
    expect(() => trainable(cell('gru'), { columns, inputs: gruInputs })).toThrow(
      /a sample is fed in 1000000 chunks, which is too long to be trained on/,
    )
  })

  it.each(['gru', 'lstm'] as const)(
    '%s: gradients reach the weights through all steps',
    async (kind) => {
      const teacher = cell(kind)
      const student = noisy(teacher, 0.3)
      const inputs = kind === 'gru' ? gruInputs : { ...gruInputs, c: { carry: 'nextC' } }
      const data = {
        train: waves(64, 3 * steps, inputs, 1),
        validation: waves(16, 3 * steps, inputs, 2),
      }
      const before = Buffer.from(serializeModel(student))
      const { losses, model } = await recovered(teacher, student, data, {
        epochs: 30,
        batch: 16,
        optimizer: { name: 'adamw', rate: 0.02 },
      })
      expect(losses.at(-1)!).toBeLessThan(losses[0]! / 20)
      expect(Buffer.compare(serializeModel(student), before)).toBe(0)
      expect(model.graph.inputs.map(({ name }) => name)).toEqual(
        teacher.graph.inputs.map(({ name }) => name),
      )
      // What only the state goes through has moved.
      const weightOf = (one: Model, name: string) =>
        numbers([...one.graph.initializers].find((value) => value.name === name)!.tensor!)
      const name = kind === 'gru' ? 'z.r' : 'r'
      expect(weightOf(model, name)).not.toEqual(weightOf(student, name))
    },
  )

  itWithShared.each(['silero-vad-op18-ifless', 'silero-vad'])(
    '%s: a noisy copy learns from the voice detector',
    async (name) => {
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
    },
    60_000,
  )
})
