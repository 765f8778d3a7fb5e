import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import { opsetOf } from '../../onnx/graph.ts'
import { parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
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

describe('weights with many zeros', () => {
  /** One convolution, of whose weights this share is not zero. */
  function holey(share: number, opset = 13) {
    const { model, g } = newModel('holey', opset)
    const { uniform, normal } = random(1, 'holey')
    const draw = () => (uniform() < share ? normal() : 0)
    const weight = tensorOf('float32', [64, 7, 3, 3], Float32Array.from({ length: 4032 }, draw))
    const x = g.input('x', { dtype: 'float32', shape: [1, 7, 8, 8] })
    g.output('y', g.Conv(x, g.constant(weight, 'w')), { dtype: 'float32', shape: [1, 64, 6, 6] })
    return model
  }
  const input = {
    x: tensorOf('float32', [1, 7, 8, 8], Float32Array.from({ length: 448 }, Math.sin)),
  }
  const outputsOf = (bytes: Uint8Array, provider: 'cpu' | 'wasm') =>
    withSession(bytes, { provider }, async (session) =>
      Buffer.from(Object.values(await session.run(input))[0]!.bytes),
    )

  it.each([0.5, 0.2, 0.05])('are stored without them where %d are left', async (share) => {
    const before = holey(share)
    const { model, facts } = await run({}, before)
    expect(facts.summary).toBe('opset 13, 1 weight stored without zeros')
    const [dense, bytes] = [serializeModel(before), serializeModel(model)]
    expect(bytes.length).toBeLessThan((share + 0.3) * dense.length)
    for (const provider of ['cpu', 'wasm'] as const)
      expect(
        Buffer.compare(await outputsOf(bytes, provider), await outputsOf(dense, provider)),
      ).toBe(0)
    const again = await run({ sparse: false }, parseModel(bytes))
    expect(serializeModel(again.model).length).toBeGreaterThan(4032 * 4)
  })

  it.each([
    [{ sparse: true }, 0.99, 13, /^sparse: no weight gets smaller without its zeros — [^\n]*$/],
    [{ sparse: true }, 0.1, 9, /^sparse: needs opset 11: the model has 9 — [^\n]*$/],
  ])('are refused for %j with %d left in opset %d', async (options, share, opset, message) => {
    await expect(run(options, holey(share, opset))).rejects.toThrow(message)
  })

  it.each([
    ['not wanted', { sparse: false }, 0.1, 13],
    ['no smaller', { sparse: 'auto' }, 0.99, 13],
    ['too old', {}, 0.1, 9],
  ])('stay dense where that is %s', async (_, options, share, opset) => {
    const before = holey(share, opset)
    const { model } = await run(options, before)
    expect(Buffer.compare(serializeModel(model), serializeModel(before))).toBe(0)
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
