// However many bits weights are stored in, and in whatever form, there are as many of them.
import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { parseModel } from '../../../onnx/load.ts'
import { countParameters } from '../../../onnx/parameters.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { quantized, samplesOf, weights } from './support.ts'

/** Every third weight is zero. */
function pruned(dims: readonly number[], label: string): Tensor {
  const values = elements(weights(dims, label), 'float32')
  return tensorOf(
    'float32',
    dims,
    values.map((value, index) => (index % 3 === 0 ? 0 : value)),
  )
}

/** A convolution, a recurrence and a matrix whose rows are no multiple of a block. */
function layers(): Model {
  const { model, g } = newModel('layers', 21)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 9, 9] })
  const map = g.Relu(g.Conv(x, pruned([8, 3, 3, 3], 'conv'), weights([8], 'bias')))
  const rows = g.Transpose(g.Reshape(map, [-1, 8, 49]), { perm: [1, 0, 2] })
  const recurrent = [rows, pruned([1, 40, 49], 'W'), pruned([1, 40, 10], 'R')]
  const [, state] = g.node('LSTM', recurrent, { attributes: { hidden_size: 10 }, outputs: 2 })
  const hidden = g.Squeeze(state, [0])
  g.output('y', g.MatMul(hidden, pruned([10, 45], 'matrix')), { dtype: 'float32' })
  return model
}

describe('the parameters of a quantized model', () => {
  const float = countParameters(layers())

  it.each([
    { scheme: 'dynamic' },
    { scheme: 'static' },
    { scheme: 'float16' },
    { scheme: 'float16', weightsOnly: true },
    { scheme: 'bfloat16' },
    { scheme: 'float8' },
    { scheme: 'weight-only', bits: 8 },
    { scheme: 'weight-only', bits: 4 },
    { scheme: 'weight-only', bits: 4, form: 'qdq' },
    { scheme: 'ternary' },
    { scheme: 'clusters', bits: 4 },
  ] as const)('are as many as before: %j', async (options) => {
    const { model } = await quantized(layers(), options, samplesOf([3, 9, 9]))
    const counted = countParameters(parseModel(serializeModel(model)))
    expect(counted.parameters).toBe(float.parameters)
    // Small numbers may become zero, but no zero becomes a number.
    expect(counted.nonzero).toBeLessThanOrEqual(float.nonzero)
    expect(counted.nonzero).toBeGreaterThan(float.nonzero / 2)
  })
})
