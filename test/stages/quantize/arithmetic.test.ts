import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { newModel } from '../../../onnx/build.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import {
  leastScaleFor,
  quantizationOf,
  quantizeBias,
  quantizeValues,
  quantizeWeights,
  roundHalfEven,
} from '../../../stages/quantize/arithmetic.ts'

describe('roundHalfEven', () => {
  it.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [-2.5, -2],
    [2.4999, 2],
    [2.5001, 3],
    [-7, -7],
  ])('rounds %p to %p', (value, rounded) => {
    expect(roundHalfEven(value) + 0).toBe(rounded)
  })
})

describe('quantizationOf', () => {
  it.each([
    ['a range around zero', { min: -1, max: 3 }, 'uint8', 4 / 255, 64],
    ['a range above zero', { min: 0.5, max: 2 }, 'uint8', 2 / 255, 0],
    ['a range below zero', { min: -2, max: -0.5 }, 'uint8', 2 / 255, 255],
    ['nothing but zeros', { min: 0, max: 0 }, 'uint8', 1, 0],
    ['nothing but zeros, signed', { min: 0, max: 0 }, 'int8', 1, -128],
    ['a signed type', { min: 0, max: 255 }, 'int8', 1, -128],
    ['numbers below the smallest scale', { min: 0, max: 1e-40 }, 'uint8', 1, 0],
  ] as const)('covers %s', (_name, range, dtype, scale, zeroPoint) => {
    expect(quantizationOf(range, dtype)).toEqual({ dtype, scale: Math.fround(scale), zeroPoint })
  })

  it('represents zero exactly for any range', () => {
    const { normal } = random(1)
    for (let count = 0; count < 200; count++) {
      const [a, b] = [normal(), normal()]
      const quantization = quantizationOf({ min: Math.min(a, b), max: Math.max(a, b) }, 'uint8')
      const [zero] = quantizeValues(Float32Array.of(0), quantization)
      expect(zero).toBe(quantization.zeroPoint)
    }
  })
})

describe('quantizeValues', () => {
  it.each(['uint8', 'int8'] as const)('gives what QuantizeLinear gives in %s', async (dtype) => {
    const { normal } = random(2)
    const values = Float32Array.from({ length: 4096 }, (_, index) =>
      // Multiples of half a step, where rounding matters, and others.
      index % 2 ? (index - 2048) / 128 : 3 * normal(),
    )
    for (const range of [
      { min: -8, max: 7.9375 },
      { min: 0, max: 1.7 },
      { min: -3, max: 0.1 },
    ]) {
      const quantization = quantizationOf(range, dtype)
      const { model, g } = newModel('q')
      const x = g.input('x', { dtype: 'float32', shape: [4096] })
      const zero = g.constant(tensorOf(dtype, [], [quantization.zeroPoint]))
      g.output('y', g.QuantizeLinear(x, quantization.scale, zero))
      const result = await withSession(model, {}, (session) =>
        session.run({ x: tensorOf('float32', [4096], values) }),
      )
      expect(quantizeValues(values, quantization)).toEqual(elements(result.y!, dtype))
    }
  })
})

describe('quantizeWeights', () => {
  it('uses the whole range of each channel, symmetrically', () => {
    const { values, scales } = quantizeWeights(Float32Array.of(1, -2, 0.5, 0.25), [2, 2], 0, 8)
    expect([...scales]).toEqual([Math.fround(2 / 127), Math.fround(0.5 / 127)])
    expect([...values]).toEqual([64, -127, 127, 64])
  })

  it('finds channels on any axis', () => {
    const { values, scales } = quantizeWeights(Float32Array.of(1, 10, -1, 5), [2, 2], 1, 8)
    expect([...scales]).toEqual([Math.fround(1 / 127), Math.fround(10 / 127)])
    expect([...values]).toEqual([127, 127, -127, 64])
  })

  it('stays within 63 steps in 7 bits', () => {
    const { values, scales } = quantizeWeights(Float32Array.of(1.2, -2), [2, 1], undefined, 7)
    expect([...scales]).toEqual([Math.fround(2 / 63)])
    expect([...values]).toEqual([38, -63])
  })

  it('keeps a channel of zeros zero', () => {
    const { values, scales } = quantizeWeights(Float32Array.of(0, 0, 1, 1), [2, 2], 0, 8)
    expect([...scales]).toEqual([1, Math.fround(1 / 127)])
    expect([...values]).toEqual([0, 0, 127, 127])
  })
})

describe('quantizeBias', () => {
  it('has the scale of the products', () => {
    const { values, scales } = quantizeBias(Float32Array.of(1, -1), 0.5, Float32Array.of(0.25, 0.5))
    expect([...scales]).toEqual([0.125, 0.25])
    expect([...values]).toEqual([8, -4])
  })

  it('fits int32 even where the weights are tiny or zero', () => {
    const bias = Float32Array.of(100, -3)
    const weights = Float32Array.of(1e-12, 1e-12, 0, 0)
    const { scales } = quantizeWeights(weights, [2, 2], 0, 8, leastScaleFor(bias, 0.01))
    const quantized = quantizeBias(bias, 0.01, scales)
    const restored = Array.from(quantized.values, (value, c) => value * quantized.scales[c]!)
    expect(restored[0]).toBeCloseTo(100, 4)
    expect(restored[1]).toBeCloseTo(-3, 4)
    expect(Math.max(...quantized.values.map(Math.abs))).toBeLessThanOrEqual(2 ** 30)
  })
})
