import { describe, expect, it } from '@jest/globals'
import { fromFloat8, largestFloat8 } from '../../../base/float8.ts'
import { newModel } from '../../../onnx/build.ts'
import { type Model, opsetOf } from '../../../onnx/graph.ts'
import { parseModel } from '../../../onnx/load.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { simplify } from '../../../stages/optimize.ts'
import { float8Tensor } from '../../../stages/quantize/storage.ts'
import { firstSample, operatorsOf, quantized, runOnce, samplesOf, weights } from './support.ts'

function classifier(opset = 17): Model {
  const { model, g } = newModel('test', opset)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 9, 9] })
  const features = g.Relu(g.Conv(x, weights([16, 3, 3, 3], 'w'), weights([16], 'b')))
  const [logits] = g.node(
    'Gemm',
    [g.Flatten(g.GlobalAveragePool(features)), weights([16, 5], 'v')],
    {
      name: 'classify',
    },
  )
  g.output('y', g.Softmax(logits), { dtype: 'float32' })
  return model
}

const typesOf = ({ graph }: Model) =>
  [...graph.initializers].map(({ tensor }) => tensor?.dtype).sort()

describe('constants stored in fewer bits', () => {
  const data = samplesOf([3, 9, 9])

  it.each([
    [{ scheme: 'float16', weightsOnly: true }, 'float16', { Cast: 2 }, 17, 3],
    [{ scheme: 'bfloat16' }, 'bfloat16', { Cast: 2 }, 17, 2],
    [{ scheme: 'float8' }, 'float8e4m3fn', { Cast: 2, Mul: 2 }, 19, 1],
    [{ scheme: 'float8', perChannel: false }, 'float8e4m3fn', { Cast: 2, Mul: 2 }, 19, 1],
    [{ scheme: 'float8', float8: 'e5m2' }, 'float8e5m2', { Cast: 2, Mul: 2 }, 19, 1],
    [{ scheme: 'float8', float8: 'e4m3fnuz' }, 'float8e4m3fnuz', { Cast: 2, Mul: 2 }, 19, 1],
    [{ scheme: 'float8', float8: 'e5m2fnuz' }, 'float8e5m2fnuz', { Cast: 2, Mul: 2 }, 19, 1],
  ] as const)(
    '%p is opened by cpu and WebAssembly and stays close',
    async (options, dtype, added, opset, digits) => {
      const float = classifier()
      const { model, facts } = await quantized(float, options, data)
      const again = parseModel(serializeModel(model))
      expect(facts.summary).toMatch(
        new RegExp(`^${dtype}: 2 constants, computed in float32; agreement`),
      )
      expect(typesOf(again).filter((type) => type === dtype)).toHaveLength(2)
      expect(operatorsOf(again)).toMatchObject({ Conv: 1, Gemm: 1, ...added })
      expect(opsetOf(again)).toBe(opset)
      const input = firstSample(data)
      const [found, expected] = [await runOnce(again, input), await runOnce(float, input)]
      for (const [index, value] of expected.entries())
        expect(found[index]).toBeCloseTo(value, digits)
      await withSession(again, { provider: 'wasm' }, async (session) => {
        const { y } = await session.run({ x: input })
        for (const [index, value] of elements(y!, 'float32').entries())
          expect(value).toBeCloseTo(found[index]!, 5)
      })
    },
  )

  it('leaves what excluded nodes read, and is not undone by simplification', async () => {
    const { model } = await quantized(classifier(), { scheme: 'bfloat16', exclude: ['classify'] })
    expect(typesOf(model)).toEqual(['bfloat16', 'float32', 'float32'])
    await simplify(model, 'model')
    expect(typesOf(model)).toEqual(['bfloat16', 'float32', 'float32'])
  })

  it('raises the opset to one that has the type', async () => {
    expect(opsetOf((await quantized(classifier(11), { scheme: 'bfloat16' })).model)).toBe(13)
    expect(opsetOf((await quantized(classifier(11), { scheme: 'float8' })).model)).toBe(19)
  })

  it('keeps constants float32 that float16 cannot hold', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 64] })
    const large = tensorOf('float32', [64], Array(64).fill(1e6))
    g.output('y', g.Mul(g.Mul(x, weights([64], 'small')), large), { dtype: 'float32' })
    const { model } = await quantized(float, { scheme: 'float16', weightsOnly: true })
    expect(typesOf(model)).toEqual(['float16', 'float32'])
  })

  it.each([
    [{ scheme: 'float16', weightsOnly: true, keepTypes: false }, /^keepTypes: does not go with/],
    [{ scheme: 'float16', weightsOnly: true, largest: 9 }, /^largest: does not go with/],
    [{ scheme: 'float8', exclude: ['*'] }, /no constant of float32 is left for float8e4m3fn/],
  ] as const)('%p: is refused', async ({ ...options }, message) => {
    await expect(quantized(classifier(), { ...options } as never)).rejects.toThrow(message)
  })

  it.each([
    [{ scheme: 'bfloat16', keepTypes: false }, /keepTypes/],
    [{ scheme: 'float16', float8: 'e5m2' }, /float8/],
    [{ scheme: 'float16', largest: 70000 }, /largest/],
  ])('%p: does not go together', (options, message) => {
    expect(() => quantized(classifier(), options as never)).toThrow(message)
  })
})

describe('float8Tensor', () => {
  it('gives each channel a power of two that brings its largest number to the upper end', () => {
    const values = [1, -2, 1000, 0.001, 0, 0]
    const { tensor, scale } = float8Tensor(tensorOf('float32', [3, 2], values), 'float8e4m3fn', 0)!
    const scales = [...elements(scale!, 'float32')]
    expect(scale?.dims).toEqual([3, 1])
    expect(scales).toEqual([2 ** -7, 4, 1])
    const numbers = new Float32Array(6)
    fromFloat8(tensor.bytes, 'float8e4m3fn', numbers)
    expect([...numbers]).toEqual([128, -256, 256, 0, 0, 0])
    expect(Math.max(...numbers)).toBeLessThanOrEqual(largestFloat8('float8e4m3fn'))
  })

  it('cannot hold infinities', () => {
    expect(float8Tensor(tensorOf('float32', [2], [1, Infinity]), 'float8e5m2', undefined)).toBe(
      undefined,
    )
  })
})
