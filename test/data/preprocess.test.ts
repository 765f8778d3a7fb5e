import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import {
  arrange,
  isArranged,
  type Preprocessing,
  preprocess,
  preprocessing,
  preprocessOptions,
} from '../../data/preprocess.ts'

type Given = Parameters<typeof preprocessOptions.parse>[0]
const ready = (from: readonly number[], given: Given, stored?: Preprocessing['stored']) =>
  preprocessing(from, preprocessOptions.parse(given), stored)

function read(facts: Preprocessing, samples: Uint8Array | Float32Array, start = 0) {
  const into = new Float32Array(facts.to.reduce((size, dim) => size * dim, 1) + 1).fill(7)
  preprocess(facts, samples, start, into, 1)
  expect(into[0]).toBe(7)
  return [...into.subarray(1)]
}

const rounded = (values: readonly number[]) => values.map((value) => Math.fround(value))

describe('preprocess', () => {
  it('fills in defaults, but leaves scale to the type of the data', () => {
    expect(preprocessOptions.parse({})).toEqual({
      ...{ mean: 0, std: 1, pad: 0, layout: 'nchw', colour: 'rgb' },
    })
    expect(preprocessOptions.safeParse({ std: 0 }).success).toBe(false)
    expect(preprocessOptions.safeParse({ color: 'rgb' }).success).toBe(false)
  })

  it('is (byte * scale - mean) / std per channel', () => {
    const facts = ready([2, 1, 2], { mean: [0.5, 0.25], std: [0.5, 2] })
    expect(read(facts, Uint8Array.of(9, 0, 255, 0, 51), 1)).toEqual(
      rounded([-1, 1, -0.125, (0.2 - 0.25) / 2]),
    )
    expect([...facts.background]).toEqual(rounded([-1, -0.125]))
    expect([...facts.white]).toEqual(rounded([1, 0.375]))
    expect(read(ready([1, 1, 2], { scale: 1 }), Uint8Array.of(3, 255))).toEqual([3, 255])
  })

  it('leaves floats alone unless told to scale them', () => {
    const samples = Float32Array.of(0.5, -2, 300, 4)
    expect(read(ready([1, 2, 2], {}, 'float32'), samples)).toEqual([0.5, -2, 300, 4])
    const facts = ready([2, 1, 2], { scale: 0.5, mean: [1, 0], std: [2, 4] }, 'float32')
    expect(read(facts, samples)).toEqual([-0.375, -1, 37.5, 0.5])
    expect([...facts.background]).toEqual([-0.5, 0])
    expect([...facts.white]).toEqual([0, 0.25])
    expect(facts.table).toHaveLength(0)
  })

  it('works on samples that are no images', () => {
    const facts = ready([3], { mean: 1, std: 2 }, 'float32')
    expect([facts.to, facts.shape]).toEqual([[3], [3]])
    expect(read(facts, Float32Array.of(1, 3, 5))).toEqual([0, 1, 2])
    expect(read(ready([2, 2], { scale: 1 }), Uint8Array.of(1, 2, 3, 4))).toEqual([1, 2, 3, 4])
  })

  it.each(['uint8', 'float32'] as const)('adds a border of the background to %s', (stored) => {
    const facts = ready([2, 1, 2], { scale: 1, mean: [1, 2], pad: 1 }, stored)
    expect(facts.to).toEqual([2, 3, 4])
    const samples = stored === 'uint8' ? Uint8Array.of(5, 6, 7, 8) : Float32Array.of(5, 6, 7, 8)
    // biome-ignore format: two pictures
    expect(read(facts, samples)).toEqual([
      -1, -1, -1, -1,  -1, 4, 5, -1,  -1, -1, -1, -1,
      -2, -2, -2, -2,  -2, 5, 6, -2,  -2, -2, -2, -2,
    ])
  })

  it('arranges planes as the model takes them', () => {
    const planar = Float32Array.from({ length: 24 }, (_, at) => at)
    const arranged = (given: Given) => {
      const facts = ready([3, 2, 2], given)
      const into = new Float32Array(24)
      arrange(facts, planar, 2, into)
      return { shape: facts.shape, values: [...into], other: isArranged(facts) }
    }
    expect(arranged({})).toEqual({ shape: [3, 2, 2], values: [...planar], other: false })
    expect(arranged({ layout: 'nhwc' })).toEqual({
      shape: [2, 2, 3],
      values: [0, 12].flatMap((a) => [0, 1, 2, 3].flatMap((b) => [a + b, a + b + 4, a + b + 8])),
      other: true,
    })
    expect(arranged({ colour: 'bgr' })).toEqual({
      shape: [3, 2, 2],
      values: [8, 4, 0, 20, 16, 12].flatMap((a) => [a, a + 1, a + 2, a + 3]),
      other: true,
    })
    expect(arranged({ layout: 'nhwc', colour: 'bgr' }).values.slice(0, 6)).toEqual([
      8, 4, 0, 9, 5, 1,
    ])
  })

  it('arranges bytes too', () => {
    const into = new Uint8Array(6)
    const form = { to: [3, 1, 2], layout: 'nhwc', colour: 'rgb' } as const
    arrange(form, Uint8Array.of(1, 2, 3, 4, 5, 6), 1, into)
    expect([...into]).toEqual([1, 3, 5, 2, 4, 6])
  })

  it('takes mean and std in the order of the data, whatever order the model takes', () => {
    const facts = ready([3, 1, 1], { scale: 1, mean: [1, 2, 3], colour: 'bgr' })
    const into = new Float32Array(3)
    arrange(facts, Float32Array.from(read(facts, Uint8Array.of(11, 12, 13))), 1, into)
    expect([...into]).toEqual([10, 10, 10])
    expect([...facts.background]).toEqual([-1, -2, -3])
  })

  it.each<[readonly number[], Given, string]>([
    [
      [2, 4, 4],
      { mean: [1, 2, 3] },
      'preprocess.mean: the samples have 2 channels: 3 values — give one number, or one for each channel',
    ],
    [
      [7],
      { std: [1, 2] },
      'preprocess.std: the samples have 1 channel: 2 values — give one number, or one for each channel',
    ],
    [
      [1, 4, 4],
      { colour: 'bgr' },
      'preprocess.colour: bgr needs images of 3 channels: they have 1 — leave it out',
    ],
    [[7], { pad: 1 }, 'preprocess.pad: is for images [C, H, W]: samples are [7] — leave it out'],
    [
      [7, 2],
      { layout: 'nhwc' },
      'preprocess.layout: is for images [C, H, W]: samples are [7, 2] — leave it out',
    ],
  ])('refuses what does not fit samples %j: %j', (from, given, message) => {
    expect(() => ready(from, given)).toThrow(new UserError(message))
  })

  it('is plain data', () => {
    const facts = ready([3, 4, 4], { colour: 'bgr', mean: [1, 2, 3] })
    expect(structuredClone(facts)).toEqual(facts)
  })
})
