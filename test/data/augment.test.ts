import { expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { type Random, random } from '../../base/random.ts'
import {
  type AugmentOptions,
  augmentations,
  augmenter,
  augmentOptions,
  changesSamples,
} from '../../data/augment.ts'

const [channels, height, width] = [2, 4, 5]
const background = Float32Array.of(-1, -2)
const count = channels * height * width
// A number of its own in every pixel, and a guard on both sides.
const image = () => Float32Array.from({ length: count + 2 }, (_, at) => at)
const changed = (options: AugmentOptions, source: Random) => {
  const values = image()
  augmenter({ shape: [channels, height, width], background }, options)?.(values, 1, source)
  expect([values[0], values[count + 1]]).toEqual([0, count + 1])
  return [...values.subarray(1, count + 1)]
}
const each = (pixel: (channel: number, row: number, column: number) => number) =>
  Array.from({ length: count }, (_, at) =>
    pixel(Math.floor(at / 20), Math.floor(at / 5) % 4, at % 5),
  )
const at = (channel: number, row: number, column: number) => 1 + channel * 20 + row * 5 + column
const fixed = (...integers: number[]): Random => ({
  ...random(1),
  integer: () => integers.shift()!,
})

it('mirrors left and right', () => {
  expect(changed({ flip: 1 }, random(1))).toEqual(each((c, y, x) => at(c, y, 4 - x)))
})

const moves = [-3, -2, -1, 0, 1, 2, 3].flatMap((down) =>
  [-3, -1, 0, 1, 3].map((right) => [down, right] as const),
)
it.each(moves)('shifts down by %i and right by %i, and fills with black', (down, right) => {
  expect(changed({ shift: 3 }, fixed(down + 3, right + 3))).toEqual(
    each((c, y, x) => {
      const [row, column] = [y - down, x - right]
      const inside = row >= 0 && row < height && column >= 0 && column < width
      return inside ? at(c, row, column) : background[c]!
    }),
  )
})

it('mirrors top and bottom', () => {
  expect(changed({ verticalFlip: 1 }, random(1))).toEqual(each((c, y, x) => at(c, 3 - y, x)))
})

// What lies outside of an image of four, by the position -3 … 6.
const beyond = {
  edge: [0, 0, 0, 0, 1, 2, 3, 3, 3, 3],
  reflect: [3, 2, 1, 0, 1, 2, 3, 2, 1, 0],
  symmetric: [2, 1, 0, 0, 1, 2, 3, 3, 2, 1],
} as const
it.each(
  (['edge', 'reflect', 'symmetric'] as const).flatMap((mode) =>
    moves.map(([down, right]) => [mode, down, right] as const),
  ),
)('crops out of the image padded by %s, moved by %i and %i', (mode, down, right) => {
  const pick = (position: number, length: number) => {
    const outside = position < 0 ? position + 3 : position >= length ? position + 7 - length : -1
    if (outside < 0) return position
    const found = beyond[mode][outside]!
    return position < 0 ? found : found + length - 4
  }
  expect(changed({ crop: { padding: 3, mode } }, fixed(down + 3, right + 3))).toEqual(
    each((c, y, x) => at(c, pick(y - down, height), pick(x - right, width))),
  )
})

it('crops out of black as it shifts', () => {
  expect(changed({ crop: 2 }, random(8))).toEqual(changed({ shift: 2 }, random(8)))
})

it('flips as often as it was told, and shifts every way', () => {
  const flips = (flip: boolean | number) => {
    const source = random(3, 'flips')
    const plain = changed({}, source)
    return Array.from({ length: 2000 }, () => changed({ flip }, source)).filter(
      (values) => values[0] !== plain[0],
    ).length
  }
  expect(flips(0.2) / 2000).toBeCloseTo(0.2, 1)
  expect(flips(true) / 2000).toBeCloseTo(0.5, 1)
  expect([flips(false), flips(0)]).toEqual([0, 0])
  const source = random(4, 'shifts')
  const seen = new Set(Array.from({ length: 400 }, () => changed({ shift: 1 }, source).join()))
  expect(seen.size).toBe(9)
})

it('does nothing, and asks nothing, without options', () => {
  expect(augmenter({ shape: [7] }, {})).toBeUndefined()
  for (const options of [
    { flip: false, shift: 0, verticalFlip: 0, crop: 0, rotate: 0, noise: 0, grayscale: false },
    { crop: { padding: 0 }, resizedCrop: false, erasing: 0, colorJitter: {}, mixup: 0 },
    { erasing: { probability: 0 }, cutmix: { probability: 0 } },
  ]) {
    const parsed = augmentOptions.parse(options)
    expect(augmenter({ shape: [7] }, parsed)).toBeUndefined()
    expect(changesSamples(parsed)).toBe(false)
  }
  expect(changesSamples(undefined)).toBe(false)
  for (const options of [{ flip: true }, { mixup: 0.2 }, { cutmix: 1 }])
    expect(changesSamples(options)).toBe(true)
})

it.each([
  ['samples that are no images', [784], { flip: true }, /augment: needs images .*\[784\]/],
  ['a shift out of the image', [1, 28, 20], { shift: 20 }, /augment.shift: .* 28 x 20: 20/],
  ['a crop out of the image', [1, 28, 20], { crop: 20 }, /augment.crop: .* 28 x 20: 20/],
  ['grey of two channels', [2, 9, 9], { grayscale: true }, /augment.grayscale: .* 2 channels/],
  ['colours of four channels', [4, 9, 9], { colorJitter: { hue: 0.1 } }, /colorJitter: .* 4 ch/],
])('refuses %s', (_, shape, options, message) => {
  const parsed = augmentOptions.parse(options)
  expect(() => augmenter({ shape }, parsed)).toThrow(UserError)
  expect(() => augmenter({ shape }, parsed)).toThrow(message)
})

it('has an option for every augmentation', () => {
  const names = [...Object.keys(augmentations), 'mixup', 'cutmix']
  expect(Object.keys(augmentOptions.shape).sort()).toEqual(names.sort())
})

it.each([
  ...[{ flip: 2 }, { flip: 'yes' }, { verticalFlip: -1 }, { shift: -1 }, { shift: 1.5 }],
  ...[{ crop: -1 }, { crop: { padding: 2, mode: 'wrap' } }, { crop: { pad: 2 } }],
  ...[{ resizedCrop: { scale: [0.5, 0.2] } }, { resizedCrop: { scale: [0, 1] } }],
  ...[{ resizedCrop: { ratio: [0, 1] } }, { resizedCrop: 1 }, { rotate: -1 }, { rotate: 181 }],
  ...[{ rotate: Number.NaN }, { colorJitter: { hue: 0.6 } }, { colorJitter: { brightness: -1 } }],
  ...[{ colorJitter: { lightness: 1 } }, { colorJitter: true }, { grayscale: 1.1 }],
  ...[{ noise: -0.1 }, { noise: Number.POSITIVE_INFINITY }, { erasing: 2 }],
  ...[{ erasing: { value: 'black' } }, { erasing: { scale: [0.1, 2] } }, { blur: 1 }],
])('refuses the options %j', (options) => {
  expect(augmentOptions.safeParse(options).success).toBe(false)
})
