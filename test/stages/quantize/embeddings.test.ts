import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { quantizeEmbeddings } from '../../../stages/quantize/embeddings.ts'
import { operatorsOf, quantized, weights } from './support.ts'

const words = tensorOf('int64', [2, 3], [0, 5, 31, 7, 7, 2])

/** A table of rows looked up by word; `tied` reads it once more as a matrix. */
function lookup(table: Tensor, tied = false): Model {
  const { model, g } = newModel('test', 17)
  const x = g.input('x', { dtype: 'int64', shape: [2, 3] })
  const value = g.constant(table, 'table')
  const [rows] = g.node('Gather', [value, x], { name: 'lookup' })
  g.output('y', tied ? g.MatMul(rows, g.Transpose(value)) : rows!, { dtype: 'float32' })
  return model
}

const run = (model: Model): Promise<Float32Array> =>
  withSession(model, {}, async (session) =>
    elements((await session.run({ x: words })).y!, 'float32'),
  )

describe('embeddings in 8 bits', () => {
  it.each([[[32, 24]], [[32, 4, 6]]])('of shape %j have a scale for each row', async (dims) => {
    const table = weights(dims, 'table')
    const values = elements(table, 'float32')
    const width = sizeOf(dims.slice(1))
    // One row is much larger than the others, and one is nothing but zeros.
    for (let index = 0; index < width; index++) values[5 * width + index]! *= 1000
    values.fill(0, 7 * width, 8 * width)
    const float = lookup(table)
    const { model, facts } = await quantized(float, { scheme: 'dynamic' })
    expect(operatorsOf(model)).toEqual({ Gather: 2, Cast: 1, Mul: 1 })
    expect(facts.summary).toMatch(/^dynamic: 0 layers in 8 bits, 1 embedding in 8 bits/)
    expect(serializeModel(model).length).toBeLessThan(0.6 * serializeModel(float).length)
    const [found, expected] = [await run(model), await run(float)]
    for (let row = 0; row < 6; row++) {
      const own = expected.subarray(row * width, (row + 1) * width)
      const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      for (const [index, value] of own.entries())
        expect(Math.abs(found[row * width + index]! - value)).toBeLessThanOrEqual(
          (0.5001 * largest) / 127,
        )
    }
  })

  it.each([
    ['are too small to pay', lookup(weights([32, 2], 'small')), []],
    ['are read by anything else', lookup(weights([32, 24], 'tied'), true), []],
    ['are excluded', lookup(weights([32, 24], 'excluded')), ['lookup']],
  ] as const)('stay float where they %s', (_name, { graph }, names) => {
    const excluded = new Set(graph.nodes.filter(({ name }) => names.some((each) => each === name)))
    expect(quantizeEmbeddings(graph, excluded)).toBe(0)
  })

  it('stay float when that is asked for', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'int64', shape: [2, 3] })
    const rows = g.Gather(weights([32, 24], 'table'), x)
    g.output('y', g.MatMul(rows, weights([24, 8], 'w')), { dtype: 'float32' })
    const options = { scheme: 'dynamic', embeddings: false } as const
    expect(operatorsOf((await quantized(float, options)).model)).toMatchObject({ Gather: 1 })
    expect(operatorsOf((await quantized(float, { scheme: 'dynamic' })).model)).toMatchObject({
      Gather: 2,
      MatMulInteger: 1,
    })
  })
})
