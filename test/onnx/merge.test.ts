import { describe, expect, it } from '@jest/globals'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { sideBySide } from '../../onnx/passes/merge.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'

const mlp = (hidden: number, seed: number): Model =>
  buildArchitecture({ architecture: 'mlp', hidden: [hidden] }, { ...oneInput([5], 3), seed })

const x = tensorOf(
  'float32',
  [4, 5],
  Array.from({ length: 20 }, (_, index) => Math.sin(index)),
)

const answers = (model: Model) =>
  withSession(model, {}, async ({ run, inputs, outputs }) => {
    const found = await run({ [inputs[0]!.name]: x })
    return outputs.map(({ name }) => [...numbers(found[name]!)])
  })

describe('models side by side', () => {
  it('answer as each of them does, in order', async () => {
    const models = [mlp(4, 1), mlp(7, 2), mlp(4, 3)] as const
    const merged = sideBySide(models[0], models.slice(1))
    const each = await Promise.all(models.map(answers))
    expect(await answers(merged)).toEqual(each.flat())
    expect(merged.graph.feeds).toHaveLength(1)
  })

  it('leave the models as they were, and keep the names of the first', async () => {
    const [one, other] = [mlp(4, 1), mlp(4, 2)]
    const names = [...one.graph.initializers].map(({ name }) => name)
    const merged = sideBySide(one, [other])
    expect([...merged.graph.initializers].map(({ name }) => name)).toEqual([
      ...names,
      ...names.map((name) => `peer1/${name}`),
    ])
    expect(one.graph.outputs).toHaveLength(1)
    expect([...other.graph.initializers].map(({ name }) => name)).toEqual(names)
  })

  it('are refused where inputs do not fit', () => {
    const { model, g } = newModel('two')
    const [a, b] = ['a', 'b'].map((name) => g.input(name, { dtype: 'float32', shape: ['N', 5] }))
    g.output('sum', g.Add(a, b), { dtype: 'float32', shape: ['N', 5] })
    expect(() => sideBySide(mlp(4, 1), [model])).toThrow(
      "peer 1: its input 'a' is none of the student's: 'input' — use models with the same inputs",
    )
  })
})
