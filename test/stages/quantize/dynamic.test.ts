import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import { elements } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { quantizeDynamically } from '../../../stages/quantize/dynamic.ts'
import { machineAdvice, preferredForms } from '../../../stages/quantize/machine.ts'
import { quantizeRecurrent } from '../../../stages/quantize/recurrent.ts'
import { firstSample, operatorsOf, quantized, runOnce, samplesOf, weights } from './support.ts'

describe('dynamic quantization', () => {
  it.each([
    ['Gemm', 0],
    ['Gemm', 1],
    ['MatMul', 0],
  ] as const)('turns %s with transB %p into MatMulInteger', async (opType, transB) => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 20] })
    const w = weights(transB ? [6, 20] : [20, 6], 'w')
    const y =
      opType === 'Gemm'
        ? g.Gemm(x, w, weights([6], 'b'), { transB })
        : g.Add(g.MatMul(x, w), weights([6], 'b'))
    g.output('y', y, { dtype: 'float32' })
    const data = samplesOf([20])
    const { model, facts } = await quantized(float, { scheme: 'dynamic' })
    expect(facts.summary).toMatch(/^dynamic: 1 layers in 8 bits/)
    expect(operatorsOf(model)).toEqual({
      DynamicQuantizeLinear: 1,
      MatMulInteger: 1,
      Cast: 1,
      Mul: 2,
      Add: 1,
    })
    expectClose(await runOnce(model, firstSample(data)), await runOnce(float, firstSample(data)))
  })

  it.each([1, 4])(
    'turns Conv of %p groups into ConvInteger with unsigned weights',
    async (group) => {
      const { model: float, g } = newModel('test', 17)
      const x = g.input('x', { dtype: 'float32', shape: ['N', 4, 9, 9] })
      const attributes = { pads: [1, 1, 1, 1], strides: [2, 2], group }
      g.output(
        'y',
        g.Relu(g.Conv(x, weights([8, 4 / group, 3, 3], 'w'), weights([8], 'b'), attributes)),
        {
          dtype: 'float32',
        },
      )
      const data = samplesOf([4, 9, 9])
      const { model } = await quantized(float, { scheme: 'dynamic' })
      const stored = model.graph.nodes.find(({ opType }) => opType === 'ConvInteger')!.input(1)
        .tensor!
      expect(elements(stored, 'uint8')).toHaveLength((8 * 4 * 9) / group)
      expectClose(await runOnce(model, firstSample(data)), await runOnce(float, firstSample(data)))
    },
  )

  it.each([
    ['forward', true],
    ['bidirectional', false],
  ] as const)("turns LSTM, %s, into ONNX Runtime's own", async (direction, perChannel) => {
    const directions = direction === 'forward' ? 1 : 2
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [7, 1, 20] })
    const inputs = [x, weights([directions, 48, 20], 'w'), weights([directions, 48, 12], 'r')]
    const [y] = g.node('LSTM', [...inputs, weights([directions, 96], 'b')], {
      attributes: { hidden_size: 12, direction },
    })
    g.output('y', y!, { dtype: 'float32' })
    const { model, facts } = await quantized(float, { scheme: 'dynamic', perChannel })
    expect(facts.summary).toMatch(/^dynamic: 1 layers in 8 bits/)
    expect(operatorsOf(model)).toEqual({ DynamicQuantizeLSTM: 1 })
    const sample = weights([7, 1, 20], 'x', 1)
    const [found, expected] = [await runOnce(model, sample), await runOnce(float, sample)]
    for (const [index, value] of expected.entries())
      expect(Math.abs(found[index]! - value)).toBeLessThan(0.05)
    await withSession(model, { provider: 'wasm' }, async (session) => {
      expect(session.outputs).toHaveLength(1)
    })
  })

  it('stores weights signed or, for processors whose sums of those saturate, unsigned', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [7, 1, 20] })
    const [y] = g.node('LSTM', [x, weights([1, 48, 20], 'w'), weights([1, 48, 12], 'r')], {
      attributes: { hidden_size: 12 },
    })
    const rows = g.Reshape(y!, [7, 12])
    const made = g.MatMul(g.Gemm(rows, weights([6, 12], 'a'), { transB: 1 }), weights([6, 6], 'b'))
    g.output('y', made, { dtype: 'float32' })
    const sample = weights([7, 1, 20], 'x', 1)
    const results: Float32Array[] = []
    for (const dtype of ['int8', 'uint8'] as const) {
      const model = cloneModel(float)
      // Of 7 bits, so that nothing saturates anywhere.
      const options = { weightBits: 7, perChannel: true, dtype } as const
      expect(quantizeDynamically(model.graph, new Set(), options)).toBe(2)
      expect(quantizeRecurrent(model, new Set(), options)).toBe(1)
      const stored = model.graph.nodes.flatMap(({ opType, inputs }) =>
        /MatMulInteger|DynamicQuantizeLSTM/.test(opType) ? [inputs[1]?.tensor?.dtype] : [],
      )
      expect(stored).toEqual([dtype, dtype, dtype])
      results.push(await runOnce(model, sample))
    }
    expect(results[1]).toEqual(results[0])
    const { weightBits } = await machineAdvice('cpu', preferredForms.dynamic)
    expect(weightBits).toBe(8)
  })

  it('quantizes an activation once for all layers that read it', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 20] })
    g.output('y', g.Add(g.MatMul(x, weights([20, 6], 'a')), g.MatMul(x, weights([20, 6], 'b'))), {
      dtype: 'float32',
    })
    const { model } = await quantized(float, { scheme: 'dynamic' })
    expect(operatorsOf(model)).toMatchObject({ DynamicQuantizeLinear: 1, MatMulInteger: 2 })
  })

  it('leaves excluded layers and products of activations float', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 20, 20] })
    const [first] = g.node('MatMul', [x, weights([20, 20], 'a')], { name: 'first' })
    const [second] = g.node('MatMul', [first, weights([20, 20], 'b')], { name: 'second' })
    g.output('y', g.MatMul(second, x), { dtype: 'float32' })
    const { model } = await quantized(float, { scheme: 'dynamic', exclude: ['fir*'] })
    expect(operatorsOf(model)).toMatchObject({ MatMul: 2, MatMulInteger: 1 })
  })
})

function expectClose(found: Float32Array, expected: Float32Array): void {
  const largest = Math.max(...expected.map(Math.abs))
  for (const [index, value] of expected.entries())
    expect(Math.abs(found[index]! - value)).toBeLessThan(0.02 * largest)
}
