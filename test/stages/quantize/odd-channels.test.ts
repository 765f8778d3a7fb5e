// Convolutions that WebGPU computes wrong get one more input channel, which changes nothing on providers that are right.
import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import { constantOf, type Model, type Value } from '../../../onnx/graph.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { likenessOf, worstOf } from '../../../stages/quantize/noise.ts'
import { widenOddConvolutions } from '../../../stages/quantize/odd-channels.ts'
import { firstSample, quantized, samplesOf, weights } from './support.ts'

const shape = [3, 8, 8]

/** Two convolutions with so many channels between them; `shared` lets another node read those, too. */
function pair(channels: number, outputs: number, shared = false, opset = 21): Model {
  const { model, g } = newModel('m', opset)
  const x = g.input('x', { dtype: 'float32', shape: ['n', ...shape] })
  const bias = tensorOf('float32', [channels], new Float32Array(channels).fill(0.1))
  const made = g.Conv(x, weights([channels, 3, 3, 3], 'a'), bias, { pads: [1, 1, 1, 1] })
  const perChannel = (value: number): Value =>
    graphConstant(new Float32Array(channels).map((_, index) => value + index / 8))
  const graphConstant = (values: Float32Array) =>
    model.graph.addInitializer('n', tensorOf('float32', [values.length], values))
  const [scale, shift, mean, variance] = [1, 0.1, 0.2, 1].map(perChannel)
  const normal = g.BatchNormalization(made, scale!, shift!, mean!, variance!)
  const pooled = g.MaxPool(g.Relu(normal), { kernel_shape: [2, 2], strides: [2, 2] })
  const y = g.Conv(pooled, weights([outputs, channels, 3, 3], 'b', 0.1))
  g.output('y', g.Flatten(y), { dtype: 'float32', shape: ['n', outputs * 4] })
  if (shared) g.output('p', g.Flatten(pooled), { dtype: 'float32', shape: ['n', channels * 16] })
  return model
}

const dimsOf = (model: Model) =>
  model.graph.nodes.flatMap(({ opType, inputs }) =>
    opType === 'Conv' ? [constantOf(inputs[1])?.dims.slice(0, 2)] : [],
  )
const resultsOf = (model: Model) =>
  withSession(model, { where: 'm' }, (session) =>
    session.run({ x: firstSample(samplesOf(shape, 1)) }),
  )

describe('odd channels', () => {
  it.each([
    [6, 16, false, 17, 1, 1],
    [15, 4, false, 17, 1, 1],
    [6, 11, false, 17, 0, 0],
    [12, 16, false, 17, 0, 0],
    [3, 16, false, 17, 0, 0],
    [7, 16, false, 17, 0, 0],
    // What others read as well gets its channel from a Pad.
    [6, 16, true, 17, 0, 1],
    [6, 16, true, 10, 0, 0],
  ])(
    'between convolutions, %i to %i (shared %s, opset %i): %i more are given and %i read',
    async (channels, outputs, shared, opset, given, read) => {
      const model = pair(channels, outputs, shared, opset)
      const wider = cloneModel(model)
      expect(widenOddConvolutions(wider)).toBe(read)
      const [first, second] = dimsOf(wider)
      expect([first![0], second![1]]).toEqual([channels + given, channels + read])
      if (read === 0) return
      const [before, after] = [await resultsOf(model), await resultsOf(wider)]
      expect(worstOf(likenessOf([before], [after]))?.sqnrDb).toBeGreaterThan(120)
    },
  )

  it('are widened only where webgpu is wanted, where integer operators are refused', async () => {
    const model = pair(6, 16)
    const { model: alone } = await quantized(model, { scheme: 'float16' })
    expect(dimsOf(alone)).toEqual([
      [6, 3],
      [16, 6],
    ])
    await expect(
      quantized(model, { scheme: 'static', format: 'qoperator', providers: ['cpu', 'cuda'] }),
    ).rejects.toThrow(
      /^quantize: format: there are no kernels for it on cuda: 'qoperator' — use qdq, or name/,
    )
  })
})
