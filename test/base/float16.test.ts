import { describe, expect, it } from '@jest/globals'
import { Float16Array } from '@petamoriken/float16'
import { fromHalves, toHalves } from '../../base/float16.ts'
import { random } from '../../base/random.ts'

const everyHalf = Uint16Array.from({ length: 2 ** 16 }, (_, index) => index)
const isNumber = (half: number) => (half & 0x7c00) !== 0x7c00 || (half & 0x3ff) === 0

describe('half precision', () => {
  it('gives every half back that is a number', () => {
    const numbers = new Float32Array(2 ** 16)
    fromHalves(everyHalf, numbers)
    const back = new Uint16Array(2 ** 16)
    toHalves(numbers, back)
    const wrong = [...everyHalf].filter((half) => isNumber(half) && back[half] !== half)
    expect(wrong).toEqual([])
    // Infinities and what is no number stay so.
    expect(numbers[0x7c00]).toBe(Infinity)
    expect(numbers[0xfe00]).toBeNaN()
    expect(back[0x7e00]! & 0x7fff).toBe(0x7e00)
  })

  it('rounds as the library does: to nearest, ties to even, beyond the largest to infinity', () => {
    const source = random(1, 'float16')
    const values = Float32Array.from(
      { length: 20_000 },
      (_, index) => source.normal() * 2 ** ((index % 60) - 40),
    )
    // Between all neighbours, where ties are.
    const halves = new Float32Array(2 ** 16)
    fromHalves(everyHalf, halves)
    const between = Float32Array.from(
      { length: 0x7c00 },
      (_, half) => (halves[half]! + (halves[half + 1] ?? 0)) / 2,
    )
    const limits = Float32Array.of(
      65503,
      65504,
      65519.99,
      65520,
      -65520,
      1e10,
      2 ** -25,
      2 ** -24,
      -0,
    )
    for (const numbers of [values, between, limits]) {
      const found = new Uint16Array(numbers.length)
      toHalves(numbers, found)
      expect(found).toEqual(new Uint16Array(new Float16Array(numbers).buffer))
    }
  })

  it('writes from an offset on', () => {
    const into = new Float32Array(3)
    fromHalves(Uint16Array.of(0x3c00, 0xc000), into, 1)
    expect([...into]).toEqual([0, 1, -2])
  })
})
