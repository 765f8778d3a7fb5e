// The gradient of MaxPool where a model asks for the positions of the largest cells itself.
import { expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import { dataTypes, tensorOf } from '../../onnx/tensor.ts'
import { batchGradients } from '../../train/batch-gradients.ts'

const { normal } = random(3, 'max-pool')
const numbers = (length: number) => Float32Array.from({ length }, () => normal())
const [images, kernel, weight] = [numbers(2 * 36), numbers(2 * 9), numbers(3 * 8)]

/** A convolution whose largest cells, and their positions, which count nothing, make logits. */
async function gradientOf(attributes: Readonly<Record<string, number>>) {
  const { model, g } = newModel('pool')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 1, 6, 6] })
  const w = g.constant(tensorOf('float32', [2, 1, 3, 3], kernel), 'w')
  const [largest, positions] = g.node('MaxPool', [g.Conv(x, w)], {
    outputs: 2,
    attributes: { kernel_shape: [2, 2], strides: [2, 2], ...attributes },
  })
  const unused = g.Mul(g.Cast(positions!, { to: dataTypes.float32.code }), 0)
  const v = g.constant(tensorOf('float32', [3, 8], weight), 'v')
  const [y] = g.node('Gemm', [g.Flatten(g.Add(largest!, unused)), v], {
    attributes: { transB: 1 },
  })
  g.output('y', y!, { dtype: 'float32', shape: ['N', 3] })
  const batch = {
    size: 2,
    inputs: [images],
    labels: Int32Array.of(0, 2),
    indices: Uint32Array.of(0, 1),
  }
  const found = batchGradients(model, {
    losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
    ...{ classes: 3, batches: [batch], batch: 2, threads: 1, provider: 'cpu' },
  })
  for await (const gradients of found) return gradients.get('w')!.slice()
  throw new Error('no gradient')
}

it('is the same in whatever order the model wants the positions', async () => {
  const usual = await gradientOf({})
  expect(usual.some((value) => Math.abs(value) > 1e-3)).toBe(true)
  expect(await gradientOf({ storage_order: 1 })).toEqual(usual)
})
