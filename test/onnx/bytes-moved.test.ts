import { expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../onnx/build.ts'
import { countBytesMoved } from '../../onnx/bytes-moved.ts'
import type { Value } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

/** The bytes that a model of `x` `[2, 4]` moves. */
async function bytesOf(body: (g: Builder, x: Value) => Value): Promise<number | undefined> {
  const { model, g } = newModel('small')
  const y = body(g, g.input('x', { dtype: 'float32', shape: [2, 4] }))
  g.output('y', y, { dtype: 'float32' })
  await inferShapes(model, { batch: 2, where: 'small' })
  return countBytesMoved(model)
}

const weights = (g: Builder) => g.constant(tensorOf('float32', [4, 3], Array(12).fill(1)), 'w')
const integers = (g: Builder) => g.constant(tensorOf('int8', [4, 3], Array(12).fill(1)), 'q')
const scale = tensorOf('float32', [], [0.5])
const zero = tensorOf('int8', [], [0])

it('counts what every operator reads and writes', async () => {
  expect(await bytesOf((g, x) => g.Relu(g.MatMul(x, weights(g))))).toBe(
    4 * (8 + 12 + 6) + 4 * (6 + 6),
  )
})

it('counts no views', async () => {
  const shape = tensorOf('int64', [1], [6])
  expect(await bytesOf((g, x) => g.Reshape(g.MatMul(x, weights(g)), shape))).toBe(4 * (8 + 12 + 6))
})

it('reads the rows of a table that are looked up', async () => {
  const table = tensorOf('float32', [1000, 5], new Float32Array(5000))
  expect(
    await bytesOf((g, x) => {
      const [rows] = g.node('ArgMax', [x], { attributes: { axis: 1, keepdims: 0 } })
      return g.Add(g.Gather(g.constant(table, 'table'), rows), g.ReduceMax(x))
    }),
  ).toBe(
    // Which column is the largest; indices, what is read and what is written; the maximum; the sum.
    4 * 8 + 16 + 16 + 4 * (10 + 10) + 4 * (8 + 1) + 4 * (10 + 1 + 10),
  )
})

it('counts integers where numbers are quantized', async () => {
  const quantize = (g: Builder, x: Value) =>
    g.DequantizeLinear(g.QuantizeLinear(x, scale, zero), scale, zero)
  const bytes = await bytesOf((g, x) =>
    quantize(g, g.MatMul(quantize(g, x), g.DequantizeLinear(integers(g), scale, zero))),
  )
  expect(bytes).toBe(8 + 12 + 6)
})

it('counts weights that are stored in fewer bits as they are read, and not how they are made', async () => {
  const made = (g: Builder) => g.Mul(g.Cast(integers(g), { to: 1 }), scale)
  expect(await bytesOf((g, x) => g.MatMul(x, made(g)))).toBe(
    await bytesOf((g, x) => g.MatMul(x, weights(g))),
  )
})

it('says nothing where a shape is unknown', () => {
  const { model, g } = newModel('unknown')
  g.output('y', g.Relu(g.input('x', { dtype: 'float32', shape: ['N', 4] })), { dtype: 'float32' })
  expect(countBytesMoved(model)).toBeUndefined()
})

itWithShared('moves at least all weights of a real model, and its images', async () => {
  const model = await loadModel(sharedModel('conv-distiller-resnet20-dense-cifar10.onnx'))
  await inferShapes(model, { batch: 1, where: 'resnet20' })
  const bytes = countBytesMoved(model)!
  expect(bytes).toBeGreaterThan(4 * (272474 + 3 * 32 * 32))
  // Sixteen channels of 32 by 32 are the largest activation; some sixty operators read and write no more than three.
  expect(bytes).toBeLessThan(4 * (272474 + 80 * 3 * 16 * 32 * 32))
})
