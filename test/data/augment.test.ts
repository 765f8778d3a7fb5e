import { expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { type Random, random } from '../../base/random.ts'
import {
  type AugmentOptions,
  augmentations,
  augmenter,
  augmentOptions,
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
  expect(augmenter({ shape: [7] }, { flip: false, shift: 0 })).toBeUndefined()
})

it.each([
  ['samples that are no images', [784], { flip: true }, /augment: needs images .*\[784\]/],
  ['a shift out of the image', [1, 28, 20], { shift: 20 }, /augment.shift: .* 28 x 20: 20/],
])('refuses %s', (_, shape, options, message) => {
  expect(() => augmenter({ shape }, options)).toThrow(UserError)
  expect(() => augmenter({ shape }, options)).toThrow(message)
})

it('has an option for every augmentation', () => {
  expect(Object.keys(augmentOptions.shape).sort()).toEqual(Object.keys(augmentations).sort())
})

it.each([{ flip: 2 }, { flip: 'yes' }, { shift: -1 }, { shift: 1.5 }, { rotate: 1 }])(
  'refuses the options %j',
  (options) => {
    expect(augmentOptions.safeParse(options).success).toBe(false)
  },
)
