import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { newModel } from '../../onnx/build.ts'
import { opsetOf } from '../../onnx/graph.ts'
import { parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { exportModel, withMetadata } from '../../stages/export.ts'
import { contextOf, firstSample, runOnce, samplesOf, weights } from './quantize/support.ts'

function sample(opset = 12) {
  const { model, g } = newModel('sample', opset)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
  const product = g.MatMul(x, weights([4, 4], 'w'))
  product.type = { dtype: 'float32', shape: ['N', 4] }
  g.output('y', g.Softmax(product, { axis: 1 }), { dtype: 'float32', shape: ['N', 4] })
  model.metadata.set('author', 'somebody')
  return model
}

const run = (options: object, model = sample()) =>
  exportModel.run(
    { model, facts: {} },
    exportModel.options.parse({ stage: 'export', ...options }),
    contextOf(model),
  )

describe('export', () => {
  it('raises the opset and computes the same', async () => {
    const before = sample()
    const { model, facts } = await run({ opset: 17 }, before)
    expect(opsetOf(model)).toBe(17)
    expect(facts.summary).toBe('opset 12 → 17')
    const input = firstSample(samplesOf([4]))
    expect(await runOnce(model, input)).toEqual(await runOnce(before, input))
    expect(opsetOf(before)).toBe(12)
  })

  it('refuses to lower the opset', async () => {
    await expect(run({ opset: 9 })).rejects.toThrow(UserError)
    await expect(run({ opset: 9 })).rejects.toThrow(
      'opset: the model has a newer one already: 9 asked for, it has 12 — an opset can only be raised',
    )
  })

  it('leaves an opset alone that is newer than it can write', async () => {
    const newer = sample()
    newer.opsets.set('', 23)
    expect(opsetOf((await run({}, newer)).model)).toBe(23)
    await expect(run({ opset: 21 }, newer)).rejects.toThrow(/an opset can only be raised/)
  })

  it('adds metadata to what is there', async () => {
    const { model } = await run({ metadata: { licence: 'Apache-2.0', author: 'nobody' } })
    const again = parseModel(serializeModel(model))
    expect([...again.metadata]).toEqual([
      ['author', 'nobody'],
      ['licence', 'Apache-2.0'],
    ])
  })

  it('leaves out the types of inner values but keeps inputs and outputs, unless told to keep them', async () => {
    const before = sample()
    const { model } = await run({}, before)
    const again = parseModel(serializeModel(model))
    expect(again.graph.nodes[0]?.output().type).toBeUndefined()
    expect(again.graph.inputs[0]?.type).toEqual({ dtype: 'float32', shape: ['N', 4] })
    expect(again.graph.outputs[0]?.type).toEqual({ dtype: 'float32', shape: ['N', 4] })
    const { model: whole } = await run({ strip: false }, before)
    expect(parseModel(serializeModel(whole)).graph.nodes[0]?.output().type).toBeDefined()
    expect(before.graph.nodes[0]?.output().type).toBeDefined()
  })
})

describe('withMetadata', () => {
  it('gives another model with the same graph', () => {
    const before = sample()
    const after = withMetadata(before, { 'condense.seed': '7' })
    expect(after.graph).toBe(before.graph)
    expect([...before.metadata.keys()]).toEqual(['author'])
    expect(after.metadata.get('condense.seed')).toBe('7')
  })
})
