// The 16-bit and 8-bit floats against ONNX Runtime's own Cast, on every number where rounding could go wrong.
import { describe, expect, it } from '@jest/globals'
import { fromBfloat16, largestBfloat16, toBfloat16 } from '../../../base/bfloat16.ts'
import {
  type Float8Name,
  float8Formats,
  fromFloat8,
  largestFloat8,
  toFloat8,
} from '../../../base/float8.ts'
import { random } from '../../../base/random.ts'
import { newModel } from '../../../onnx/build.ts'
import { type DataType, dataTypes, tensorOf } from '../../../onnx/tensor.ts'
import { runOnce } from './support.ts'

/** What ONNX Runtime makes of numbers that go through a type. */
async function castBack(values: Float32Array, dtype: DataType): Promise<Float32Array> {
  const { model, g } = newModel('cast', 19)
  const x = g.input('x', { dtype: 'float32', shape: [values.length] })
  const small = g.Cast(x, { to: dataTypes[dtype].code })
  g.output('y', g.Cast(small, { to: dataTypes.float32.code }), { dtype: 'float32' })
  return runOnce(model, tensorOf('float32', [values.length], values))
}

/** Numbers, what lies halfway between neighbours, and the float32 numbers next to that. */
function critical(numbers: readonly number[]): Float32Array {
  const sorted = [...new Set(numbers.filter(Number.isFinite))].sort((a, b) => a - b)
  const halfway = sorted.slice(1).map((value, index) => (value + sorted[index]!) / 2)
  const exact = Float32Array.of(...sorted, ...halfway, 0, -0, 1e-45, -1e-45, 1e-40, 3.4e38, -3.4e38)
  const bits = new Uint32Array(exact.buffer)
  const next = [1, -1].flatMap((step) =>
    Array.from(bits, (each) => (each & 0x7fffffff ? each + step : each)),
  )
  const beside = new Float32Array(Uint32Array.from(next).buffer)
  return Float32Array.of(...exact, ...beside, Infinity, -Infinity, NaN)
}

describe('toFloat8', () => {
  const names = Object.keys(float8Formats) as Float8Name[]
  const patterns = Uint8Array.from({ length: 256 }, (_, pattern) => pattern)

  it.each(names)('%s: reads every bit pattern and rounds as ONNX Runtime does', async (name) => {
    const all = new Float32Array(256)
    fromFloat8(patterns, name, all)
    const largest = largestFloat8(name)
    const values = critical([...all, 2 * largest, 1.125 * largest, 1.0625 * largest])
    const found = new Uint8Array(values.length)
    toFloat8(values, name, found)
    const back = new Float32Array(values.length)
    fromFloat8(found, name, back)
    expect([...back]).toEqual([...(await castBack(values, name))])
    const again = new Uint8Array(256)
    toFloat8(all, name, again)
    for (const [pattern, value] of all.entries())
      if (Number.isFinite(value)) expect(again[pattern]).toBe(pattern)
  })

  it.each([
    ['float8e4m3fn', 448],
    ['float8e4m3fnuz', 240],
    ['float8e5m2', 57344],
    ['float8e5m2fnuz', 57344],
  ] as const)('%s ends at %d, at which what is larger stops', (name, largest) => {
    const back = new Float32Array(3)
    const found = new Uint8Array(3)
    toFloat8(Float32Array.of(1e9, -Infinity, NaN), name, found)
    fromFloat8(found, name, back)
    expect([...back]).toEqual([largest, -largest, NaN])
    expect(largestFloat8(name)).toBe(largest)
  })
})

describe('toBfloat16', () => {
  it('rounds to nearest, ties to even, as ONNX Runtime does', async () => {
    const { uniform } = random(1, 'bfloat16')
    const bits = Uint32Array.from({ length: 4000 }, (_, index) => {
      const upper = Math.floor(uniform() * 2 ** 16) * 2 ** 16
      return upper + ([0, 0x8000, 0x7fff, 0x8001, 0xffff][index % 5] ?? 0)
    })
    const values = Float32Array.of(
      ...new Float32Array(bits.buffer),
      ...critical([0, 1, largestBfloat16, -largestBfloat16, 2 ** -126, 2 ** -133]),
    )
    const found = new Uint16Array(values.length)
    toBfloat16(values, found)
    const back = new Float32Array(values.length)
    fromBfloat16(found, back)
    expect([...back]).toEqual([...(await castBack(values, 'bfloat16'))])
  })
})
