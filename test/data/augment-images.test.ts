// Augmentations that interpolate, colour, erase or blur values: what they must keep, and how much
// they do.
import { describe, expect, it } from '@jest/globals'
import { type Random, random } from '../../base/random.ts'
import { type AugmentOptions, augmenter, augmentOptions } from '../../data/augment.ts'
import { hueTurned } from '../../data/augmentations/hue.ts'
import { preprocessing, preprocessOptions } from '../../data/preprocess.ts'

const shape = [3, 12, 16] as const
const [channels, height, width] = shape
const plane = height * width
const { background, white } = preprocessing(
  shape,
  preprocessOptions.parse({ mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.5] }),
)
// Preprocessed values of brightness 0..1, and back.
const valuesOf = (brightness: (channel: number, row: number, column: number) => number) =>
  Float32Array.from({ length: channels * plane }, (_, at) => {
    const channel = Math.floor(at / plane)
    const share = brightness(channel, Math.floor((at % plane) / width), at % width)
    return background[channel]! + share * (white[channel]! - background[channel]!)
  })
const brightnessOf = (values: Float32Array) =>
  Array.from(values, (value, at) => {
    const channel = Math.floor(at / plane)
    return (value - background[channel]!) / (white[channel]! - background[channel]!)
  })
const picture = valuesOf((c, y, x) => 0.1 + 0.8 * Math.abs(Math.sin(1 + c + 0.7 * y + 1.3 * x)))
const apply = (
  options: Parameters<typeof augmentOptions.parse>[0],
  source: Random,
  values = picture,
) => {
  const copy = values.slice()
  augmenter({ shape, background, white }, augmentOptions.parse(options) as AugmentOptions)?.(
    copy,
    0,
    source,
  )
  return copy
}
const mean = (numbers: ArrayLike<number>) =>
  Array.from(numbers).reduce((sum, number) => sum + number, 0) / numbers.length
const rounds = (count: number, options: object, values = picture) =>
  Array.from({ length: count }, (_, round) => apply(options, random(round, 'rounds'), values))
/** A source whose uniform numbers are given; the order of changes stays as it is. */
const given = (...numbers: number[]): Random => ({
  ...random(1),
  uniform: () => numbers.shift()!,
  integer: (limit) => Math.floor(numbers.shift()! * limit),
  permutation: (count) => Uint32Array.from({ length: count }, (_, index) => index),
})

const all = {
  ...{ flip: true, verticalFlip: true, shift: 2, crop: { padding: 3, mode: 'reflect' } },
  ...{ resizedCrop: true, rotate: 180, grayscale: true, noise: 0.2, erasing: true },
  colorJitter: { brightness: 0.8, contrast: 0.8, saturation: 0.8, hue: 0.5 },
} as const

describe.each(Object.entries(all))('%s', (name, option) => {
  const options = { [name]: option }

  it('depends on the random numbers alone, and changes with them', () => {
    expect(apply(options, random(1))).toEqual(apply(options, random(1)))
    expect(new Set(rounds(20, options).map(String)).size).toBeGreaterThan(1)
  })

  it('stays between black and white', () => {
    for (const values of rounds(20, options)) {
      // What is erased is zero after preprocessing, which lies between the two here.
      const brightness = brightnessOf(values)
      expect(Math.min(...brightness)).toBeGreaterThan(-1e-6)
      expect(Math.max(...brightness)).toBeLessThan(1 + 1e-6)
    }
  })

  it('leaves the neighbours in the batch alone', () => {
    const guarded = new Float32Array(picture.length + 8).fill(99)
    guarded.set(picture, 4)
    const change = augmenter({ shape, background, white }, augmentOptions.parse(options))
    for (let round = 0; round < 20; round++) change?.(guarded, 4, random(round))
    expect([...guarded.subarray(0, 4), ...guarded.subarray(-4)]).toEqual(new Array(8).fill(99))
  })
})

describe('the resized crop', () => {
  it('is the image itself where it is all of it', () => {
    const whole = { resizedCrop: { scale: [1, 1], ratio: [width / height, width / height] } }
    expect(apply(whole, random(1))).toEqual(picture)
  })

  it('enlarges a part bilinearly, pixel centres on halves', () => {
    // A plane stays a plane, but for the half pixel at the edges; the slope tells the scale.
    const slope = valuesOf((_, y, x) => (y + x) / 40)
    const half = { resizedCrop: { scale: [0.25, 0.25], ratio: [width / height, width / height] } }
    const brightness = brightnessOf(apply(half, given(0, 0, 0.5, 0.5), slope))
    // 6 x 8 pixels from (3, 4) on.
    for (const [y, x] of [
      [1, 1],
      [5, 9],
      [10, 14],
    ] as const) {
      const expected = (3 + (y + 0.5) / 2 - 0.5 + 4 + (x + 0.5) / 2 - 0.5) / 40
      expect(brightness[y * width + x]).toBeCloseTo(expected, 5)
    }
  })

  it('takes the middle where nothing fits', () => {
    const wide = { resizedCrop: { scale: [1, 1], ratio: [4, 4] } }
    const rows = valuesOf((_, y) => y / 20)
    const brightness = brightnessOf(apply(wide, random(3), rows))
    expect(mean(brightness)).toBeCloseTo(5.5 / 20, 5)
    expect(Math.min(...brightness)).toBeCloseTo(4 / 20, 5)
  })

  it('cuts out shares of the area from the one to the other', () => {
    const columns = valuesOf((_, _y, x) => x / 20)
    const widths = rounds(300, { resizedCrop: { scale: [0.25, 0.5], ratio: [1, 1] } }, columns).map(
      (values) => {
        const brightness = brightnessOf(values)
        return Math.round((Math.max(...brightness) - Math.min(...brightness)) * 20 + 1)
      },
    )
    // Squares of 48 to 96 of the 192 pixels.
    expect(Math.min(...widths)).toBe(7)
    expect(Math.max(...widths)).toBe(10)
  })
})

describe('rotation', () => {
  it('turns a square by a right angle about its middle', () => {
    const square = [1, 5, 5] as const
    const values = Float32Array.from({ length: 25 }, (_, at) => at)
    augmenter({ shape: square }, { rotate: 90 })?.(values, 0, given(1))
    const [first, second] = [values, values.slice()]
    for (let y = 0; y < 5; y++)
      for (let x = 0; x < 5; x++) expect(first[y * 5 + x]).toBeCloseTo(x * 5 + 4 - y, 4)
    augmenter({ shape: square }, { rotate: 90 })?.(second, 0, given(0))
    for (const [at, value] of second.entries()) expect(value).toBeCloseTo(at, 4)
  })

  it('fills with black and keeps the middle', () => {
    const bright = valuesOf(() => 1)
    const turned = brightnessOf(apply({ rotate: 45 }, given(1), bright))
    for (const corner of [0, width - 1, plane - width, plane - 1])
      expect(turned[corner]).toBeCloseTo(0, 6)
    expect(turned[(height / 2) * width + width / 2]).toBeCloseTo(1, 6)
  })
})

describe('colour', () => {
  const pixel = (values: Float32Array, at: number) => {
    const brightness = brightnessOf(values)
    return [brightness[at]!, brightness[plane + at]!, brightness[2 * plane + at]!]
  }
  const grey = ([red = 0, green = 0, blue = 0]: readonly number[]) =>
    0.299 * red + 0.587 * green + 0.114 * blue

  it('multiplies brightness and clamps it', () => {
    const before = brightnessOf(picture)
    const after = brightnessOf(apply({ colorJitter: { brightness: 0.5 } }, given(1)))
    for (const [at, value] of after.entries())
      expect(value).toBeCloseTo(Math.min(1, before[at]! * 1.5), 5)
  })

  it('moves contrast about the mean grey', () => {
    const pixels = Array.from({ length: plane }, (_, at) => grey(pixel(picture, at)))
    const middle = mean(pixels)
    const before = brightnessOf(picture)
    const after = brightnessOf(apply({ colorJitter: { contrast: 0.5 } }, given(0)))
    for (const [at, value] of after.entries())
      expect(value).toBeCloseTo(middle + 0.5 * (before[at]! - middle), 5)
  })

  it('moves saturation about the grey of the pixel, which stays', () => {
    const after = apply({ colorJitter: { saturation: 0.5 } }, given(0))
    for (const at of [0, 17, plane - 1]) {
      const [before, now] = [pixel(picture, at), pixel(after, at)]
      expect(grey(now)).toBeCloseTo(grey(before), 5)
      for (const [channel, value] of now.entries())
        expect(value).toBeCloseTo(grey(before) + 0.5 * (before[channel]! - grey(before)), 5)
    }
  })

  it.each([
    [[1, 0, 0], 1 / 3, [0, 1, 0]],
    [[1, 0, 0], -1 / 3, [0, 0, 1]],
    [[1, 0, 0], 1 / 6, [1, 1, 0]],
    [[0.2, 0.6, 0.4], 0.5, [0.6, 0.2, 0.4]],
    [[0.3, 0.3, 0.3], 0.4, [0.3, 0.3, 0.3]],
    [[0.1, 0.7, 0.4], 1, [0.1, 0.7, 0.4]],
  ])('turns the hue of %j by %d to %j', (from, turn, to) => {
    const colour = Float64Array.from(from)
    hueTurned(colour, turn)
    for (const [channel, value] of colour.entries()) expect(value).toBeCloseTo(to[channel]!, 9)
  })

  it('turns hue there and back', () => {
    const there = apply({ colorJitter: { hue: 0.2 } }, given(1))
    const back = apply({ colorJitter: { hue: 0.2 } }, given(0), there)
    for (const [at, value] of back.entries()) expect(value).toBeCloseTo(picture[at]!, 5)
  })

  it('takes colour away as often as it was told', () => {
    const isGrey = (values: Float32Array) => {
      const [red, green, blue] = pixel(values, 5)
      return Math.abs(red! - green!) < 1e-5 && Math.abs(green! - blue!) < 1e-5
    }
    expect(rounds(500, { grayscale: 0.3 }).filter(isGrey).length / 500).toBeCloseTo(0.3, 1)
    const [before, after] = [pixel(picture, 5), pixel(apply({ grayscale: 1 }, random(1)), 5)]
    for (const value of after) expect(value).toBeCloseTo(grey(before), 5)
  })

  it('jitters grey images, which have no saturation and no hue', () => {
    const values = Float32Array.of(0.25, 0.5, 0.5, 0.75)
    const jitter = { colorJitter: { brightness: 0, contrast: 0.5, saturation: 1, hue: 0.5 } }
    augmenter({ shape: [1, 2, 2] }, jitter)?.(values, 0, given(0))
    expect([...values]).toEqual([0.375, 0.5, 0.5, 0.625])
  })
})

describe('noise', () => {
  it('has the deviation that it was told, in shares of black to white', () => {
    const middle = valuesOf(() => 0.5)
    const brightness = rounds(20, { noise: 0.05 }, middle).flatMap(brightnessOf)
    expect(mean(brightness)).toBeCloseTo(0.5, 2)
    expect(Math.sqrt(mean(brightness.map((value) => (value - 0.5) ** 2)))).toBeCloseTo(0.05, 2)
  })
})

describe('erasing', () => {
  const erased = (values: Float32Array, value = 0) =>
    [...values.keys()].filter((at) => values[at] === value)

  it('erases one rectangle in every channel, as often and as large as it was told', () => {
    const bright = valuesOf(() => 1)
    const areas = rounds(
      600,
      { erasing: { probability: 0.4, scale: [0.1, 0.3], ratio: [0.5, 2] } },
      bright,
    )
      .map((values) => erased(values))
      .filter(({ length }) => length > 0)
    expect(areas.length / 600).toBeCloseTo(0.4, 1)
    for (const places of areas) {
      const rows = new Set(places.map((at) => Math.floor((at % plane) / width)))
      const columns = new Set(places.map((at) => at % width))
      expect(places).toHaveLength(channels * rows.size * columns.size)
      const area = (rows.size * columns.size) / plane
      // Sides are whole pixels.
      expect(area > 0.06 && area < 0.36).toBe(true)
    }
  })

  it('puts there what it was told', () => {
    const bright = valuesOf(() => 1)
    const [constant] = rounds(1, { erasing: { probability: 1, value: -7 } }, bright)
    expect(erased(constant!, -7).length).toBeGreaterThan(0)
    const noisy = rounds(40, { erasing: { probability: 1, value: 'random' } }, bright).flatMap(
      (values) => [...values].filter((value, at) => value !== bright[at]),
    )
    expect(mean(noisy)).toBeCloseTo(0, 1)
    expect(mean(noisy.map((value) => value ** 2))).toBeCloseTo(1, 0)
  })

  it('leaves an image whole in which nothing fits', () => {
    const change = augmenter({ shape: [1, 1, 1] }, { erasing: true })
    const values = Float32Array.of(3)
    for (let round = 0; round < 50; round++) change?.(values, 0, random(round))
    expect([...values]).toEqual([3])
  })
})

it.each([
  [1, 1, 1],
  [3, 1, 7],
  [3, 2, 1],
])('takes images of %i x %i x %i', (...tiny) => {
  const { shift: _, crop: _crop, ...fitting } = all
  const change = augmenter({ shape: tiny }, augmentOptions.parse(fitting))
  const values = new Float32Array(tiny[0] * tiny[1] * tiny[2]).fill(0.5)
  for (let round = 0; round < 50; round++) change?.(values, 0, random(round))
  expect(values.every((value) => Number.isFinite(value))).toBe(true)
})
