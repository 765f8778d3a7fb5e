// Training models that carry state: unrolled over the chunks of a sample, and back in their own form.
import { describe, expect, it } from '@jest/globals'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { numbers } from '../../onnx/tensor.ts'
import { predict } from '../../runtime/predict.ts'
import { trainable } from '../../stages/trainable.ts'
import { cell } from '../support/cell.ts'
import { itWithShared } from '../support/shared.ts'
import { expectVoiceLearned, noisy, recovered, waves } from './noisy-copies.ts'

const steps = 4

const gruInputs = { x: { column: 'x', chunk: 3 }, h: { carry: 'nextH' } } as const

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

  itWithShared('silero-vad-op18-ifless: a noisy copy learns from the voice detector', () =>
    expectVoiceLearned('silero-vad-op18-ifless'),
  )
})
