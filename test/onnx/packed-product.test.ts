import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { nonzeroIn, packedProductOf, writeOutPackedProducts } from '../../onnx/packed-product.ts'
import { elements, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import {
  firstSample,
  operatorsOf,
  quantized,
  runOnce,
  samplesOf,
  weights,
} from '../stages/quantize/support.ts'

/** A model of one product in few bits. */
async function packed(bits: 2 | 4 | 8, inputs: number, matrix = weights([inputs, 9], 'w')) {
  const { model, g } = newModel('product', 21)
  const x = g.input('x', { dtype: 'float32', shape: ['N', inputs] })
  g.output('y', g.Gemm(x, matrix, weights([9], 'b')), { dtype: 'float32' })
  return (await quantized(model, { scheme: 'weight-only', bits })).model
}

const productIn = (model: Model) =>
  packedProductOf(model.graph.nodes.find(({ opType }) => opType === 'MatMulNBits')!)!

/** A MatMulNBits of 4 bits and one block, with everything that it may leave out left out. */
function plain(inputs: readonly (Tensor | undefined)[], attributes: Record<string, number> = {}) {
  const { model, g } = newModel('product', 21)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 16] })
  const all = { K: 16, N: 2, bits: 4, block_size: 16, ...attributes }
  const [y] = g.node('MatMulNBits', [x, ...inputs], { domain: 'com.microsoft', attributes: all })
  g.output('y', y!, { dtype: 'float32' })
  return model
}

const bytes = tensorOf(
  'uint8',
  [2, 1, 8],
  Array.from({ length: 16 }, (_, at) => (at * 37) % 256),
)
const scales = tensorOf('float32', [2, 1], [0.5, 2])

describe('a product with weights in few bits', () => {
  it.each([
    [8, 70],
    [4, 70],
    [4, 20],
    [2, 70],
  ] as const)(
    'of %d bits and %d inputs is written out as ONNX Runtime computes it',
    async (bits, inputs) => {
      const model = await packed(bits, inputs)
      const sample = firstSample(samplesOf([inputs]))
      const floats = cloneModel(model)
      writeOutPackedProducts(floats.graph)
      expect(operatorsOf(model)).toEqual({ MatMulNBits: 1 })
      expect(operatorsOf(floats)).toEqual({ MatMul: 1, Add: 1 })
      const found = await runOnce(floats, sample)
      for (const [index, value] of (await runOnce(model, sample)).entries())
        expect(found[index]).toBeCloseTo(value, 3)
    },
  )

  it('has its zero in the middle of the integers where none is given', async () => {
    const model = plain([bytes, scales])
    const sample = firstSample(samplesOf([16]))
    const floats = cloneModel(model)
    writeOutPackedProducts(floats.graph)
    const found = await runOnce(floats, sample)
    for (const [index, value] of (await runOnce(model, sample)).entries())
      expect(found[index]).toBeCloseTo(value, 3)
  })

  it('counts weights at their zero points as zero', async () => {
    const values = elements(weights([70, 9], 'w'), 'float32')
    const matrix = tensorOf(
      'float32',
      [70, 9],
      values.map((value, at) => (at % 2 ? 0 : value)),
    )
    expect(nonzeroIn(productIn(await packed(8, 70, matrix)))).toBeLessThanOrEqual(315)
    expect(nonzeroIn(productIn(await packed(8, 70, matrix)))).toBeGreaterThan(300)
  })

  it.each([
    ['bytes that do not fit', plain([tensorOf('uint8', [2, 1, 7], new Uint8Array(14)), scales])],
    ['scales that do not fit', plain([bytes, tensorOf('float32', [1], [1])])],
    ['three bits', plain([bytes, scales], { bits: 3 })],
    [
      'an order of its own',
      plain([bytes, scales, undefined, tensorOf('int32', [16], new Int32Array(16))]),
    ],
    ['no size', plain([bytes, scales], { K: 0 })],
    ['nothing', plain([])],
  ])('is left alone where it has %s', (_, model) => {
    writeOutPackedProducts(model.graph)
    expect(operatorsOf(model)).toEqual({ MatMulNBits: 1 })
  })
})
