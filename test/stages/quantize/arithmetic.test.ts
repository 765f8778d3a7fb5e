import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { newModel } from '../../../onnx/build.ts'
import { elements, Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import {
  leastScaleFor,
  quantizationOf,
  quantizeBias,
  quantizeValues,
  quantizeWeights,
  roundHalfEven,
  storeWeights,
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

/** The cases of onnxruntime's test_quant_util.py; where nothing is to be covered, our zero stays in the middle. */
describe('scale and zero point of -1 … 2', () => {
  it.each([
    ['int8', true, 2 / 127, 0],
    ['uint8', true, 4 / 255, 128],
    ['uint8', false, 3 / 255, 85],
    ['int8', false, 3 / 255, -43],
    ['int16', true, 2 / 32767, 0],
    ['uint16', false, 3 / 65535, 21845],
    ['int4', true, 2 / 7, 0],
    ['uint4', false, 3 / 15, 5],
    ['uint2', false, 1, 1],
  ] as const)('%s, symmetric %p', (dtype, symmetric, scale, zeroPoint) => {
    const range = { min: -1, max: 2 }
    expect(quantizationOf(range, dtype, symmetric)).toEqual({
      dtype,
      scale: Math.fround(scale),
      zeroPoint,
    })
  })

  it.each([
    [0, 0],
    [-(2 ** -130), 2 ** -130],
  ])('is 1 and the middle where %p … %p is to be covered', (min, max) => {
    const range = { min, max }
    expect(quantizationOf(range, 'int8', true)).toEqual({ dtype: 'int8', scale: 1, zeroPoint: 0 })
    expect(quantizationOf(range, 'uint8', true)).toMatchObject({ scale: 1, zeroPoint: 128 })
    expect(quantizationOf(range, 'uint8')).toMatchObject({ scale: 1, zeroPoint: 0 })
  })

  it('are finite for the largest range', () => {
    const { scale, zeroPoint } = quantizationOf({ min: -3.4e38, max: 3.4e38 }, 'uint8')
    expect(scale).toBe(Math.fround(6.8e38 / 255))
    expect([127, 128]).toContain(zeroPoint)
  })

  it('equal those of DynamicQuantizeLinear bit for bit', async () => {
    const { model, g } = newModel('d')
    const x = g.input('x', { dtype: 'float32', shape: [2] })
    const [, scale, zero] = g.node('DynamicQuantizeLinear', [x], { outputs: 3 })
    g.output('scale', scale!)
    g.output('zero', zero!)
    const { normal } = random(4)
    await withSession(model, {}, async (session) => {
      for (let count = 0; count < 300; count++) {
        const values = Float32Array.of(normal(), 10 * normal())
        const found = await session.run({ x: tensorOf('float32', [2], values) })
        const range = { min: Math.min(...values), max: Math.max(...values) }
        expect(quantizationOf(range, 'uint8')).toEqual({
          dtype: 'uint8',
          scale: elements(found.scale!, 'float32')[0],
          zeroPoint: elements(found.zero!, 'uint8')[0],
        })
      }
    })
  })
})

describe('storeWeights', () => {
  it.each([
    [{ dtype: 'uint8', symmetric: true, bits: 8 }, [1, 255]],
    [{ dtype: 'uint8', symmetric: false, bits: 8 }, [0, 255]],
    [{ dtype: 'int8', symmetric: false, bits: 8 }, [-128, 127]],
    [{ dtype: 'int8', symmetric: false, bits: 7 }, [-64, 63]],
    [{ dtype: 'uint8', symmetric: true, bits: 7 }, [65, 191]],
  ] as const)('uses all integers of %j in each channel', (form, limits) => {
    const { normal } = random(6)
    const weights = Float32Array.from({ length: 400 }, (_, index) => normal() + (index % 4))
    const { values, scales, zeroPoints } = storeWeights(weights, [100, 4], 1, form)
    expect([Math.min(...values), Math.max(...values)]).toEqual(
      form.symmetric ? [expect.any(Number), limits[1]] : limits,
    )
    for (const [index, weight] of weights.entries()) {
      const channel = index % 4
      const restored = (values[index]! - zeroPoints[channel]!) * scales[channel]!
      // Half a step, and another half where zero had to be hit exactly.
      expect(Math.abs(restored - weight)).toBeLessThanOrEqual(1.001 * scales[channel]!)
    }
  })

  it('keeps zeros zero, and scales as large as told', () => {
    const form = { dtype: 'uint8', symmetric: false, bits: 8 } as const
    const stored = storeWeights(Float32Array.of(0, 0, 1, -1), [2, 2], 0, form, () => 0.5)
    expect([...stored.scales]).toEqual([0.5, 0.5])
    expect([...stored.values].map((value, i) => value - stored.zeroPoints[i >> 1]!)).toEqual([
      0, 0, 2, -2,
    ])
  })
})

describe('quantizeValues', () => {
  it.each(['int4', 'uint4'] as const)('gives what QuantizeLinear gives in %s', async (dtype) => {
    const { normal } = random(2)
    const values = Float32Array.from({ length: 512 }, () => 2 * normal())
    const quantization = quantizationOf({ min: -3, max: 2 }, dtype)
    const { model, g } = newModel('q')
    const x = g.input('x', { dtype: 'float32', shape: [512] })
    // ONNX Runtime gives no 4 bits to JavaScript, so what they mean is compared.
    const nothing = new Tensor(dtype, [], Uint8Array.of(quantization.zeroPoint & 15))
    const zero = g.constant(nothing)
    const integers = g.QuantizeLinear(x, quantization.scale, zero)
    g.output('y', g.DequantizeLinear(integers, quantization.scale, zero))
    const result = await withSession(model, { optimization: 'disabled' }, (session) =>
      session.run({ x: tensorOf('float32', [512], values) }),
    )
    const meant = Float32Array.from(
      quantizeValues(values, quantization),
      (value) => (value - quantization.zeroPoint) * quantization.scale,
    )
    expect(elements(result.y!, 'float32')).toEqual(meant)
  })

  it.each(['uint8', 'int8', 'uint16', 'int16'] as const)(
    'gives what QuantizeLinear gives in %s',
    async (dtype) => {
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
    },
  )
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
