import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import type { Dataset } from '../../data/dataset.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import type { RawData } from '../../data/readers/reader.ts'
import { type SplitOptions, split } from '../../data/splits.ts'
import { stratifiedOrder } from '../../data/stratify.ts'

// 1 x 1 images of two channels whose bytes number the sample; training below 20,000, test from
// there on.
const numbered = (count: number, first: number, classes: number) => ({
  samples: Uint8Array.from({ length: count * 2 }, (_, at) => {
    const number = first + (at >> 1)
    return at % 2 === 0 ? number >> 8 : number & 255
  }),
  labels: Int32Array.from({ length: count }, (_, index) => Math.floor((index * classes) / count)),
})
const raw: RawData = {
  shape: [2, 1, 1],
  classes: ['a', 'b', 'c', 'd'],
  train: numbered(2000, 0, 4),
  test: numbered(100, 20000, 4),
}
const preprocess = preprocessOptions.parse({ scale: 1 })
const options: SplitOptions = { seed: 7, preprocess }

const numbersOf = (dataset: Dataset) => {
  const sample = new Float32Array(2)
  return Array.from({ length: dataset.size }, (_, index) => {
    dataset.read(index, sample, 0)
    return sample[0]! * 256 + sample[1]!
  })
}
const counts = ({ labels }: Pick<Dataset, 'labels'>) =>
  [0, 1, 2, 3].map((label) => labels.filter((other) => other === label).length)

describe('split', () => {
  it('holds a stratified tenth out, and calibrates on 512 training samples', () => {
    const { train, validation, calibration, test } = split('numbers', raw, options)
    expect([train.size, validation.size, calibration.size, test.size]).toEqual([
      1800, 200, 512, 100,
    ])
    expect(counts(train)).toEqual([450, 450, 450, 450])
    expect(counts(validation)).toEqual([50, 50, 50, 50])
    expect(counts(calibration)).toEqual([128, 128, 128, 128])
    expect(counts({ labels: calibration.labels.slice(0, 40) })).toEqual([10, 10, 10, 10])
  })

  it('shares no sample between training, validation and test, and loses none', () => {
    const { train, validation, calibration, test } = split('numbers', raw, options)
    const together = [...numbersOf(train), ...numbersOf(validation)].sort((a, b) => a - b)
    expect(together).toEqual(Array.from({ length: 2000 }, (_, index) => index))
    expect(numbersOf(test)).toEqual(Array.from({ length: 100 }, (_, index) => 20000 + index))
    const training = new Set(numbersOf(train))
    expect(numbersOf(calibration).filter((number) => !training.has(number))).toEqual([])
    expect(new Set(numbersOf(calibration)).size).toBe(512)
  })

  it('keeps labels with their samples', () => {
    const { train, validation, calibration } = split('numbers', raw, options)
    for (const part of [train, validation, calibration])
      expect(numbersOf(part).map((number) => Math.floor(number / 500))).toEqual([...part.labels])
  })

  it('is the same for the same seed, and another for another', () => {
    const [one, two] = [split('numbers', raw, options), split('elsewhere', raw, options)]
    const other = split('numbers', raw, { ...options, seed: 8 })
    for (const part of ['train', 'validation', 'calibration', 'test'] as const) {
      expect(numbersOf(one[part])).toEqual(numbersOf(two[part]))
      expect(one[part].fingerprint).toBe(two[part].fingerprint)
      if (part === 'test') expect(other[part].fingerprint).toBe(one[part].fingerprint)
      else expect(numbersOf(other[part])).not.toEqual(numbersOf(one[part]))
    }
  })

  it('has another fingerprint for other bytes, labels, preprocessing, classes or samples', () => {
    const { samples, labels } = raw.train
    const variants: [RawData, SplitOptions][] = [
      [raw, options],
      [{ ...raw, train: { labels, samples: samples.with(0, 9) } }, options],
      [{ ...raw, train: { samples, labels: labels.with(0, 3) } }, options],
      [{ ...raw, classes: ['a', 'b', 'c', 'e'] }, options],
      [{ ...raw, shape: [1, 1, 2] }, options],
      [raw, { ...options, preprocess: { ...preprocess, mean: 1 } }],
      [raw, { ...options, preprocess: { ...preprocess, std: [1, 2] } }],
      [raw, { ...options, preprocess: { ...preprocess, pad: 1 } }],
      [raw, { ...options, validation: 0.2 }],
      [raw, { ...options, trainLimit: 1999 }],
      [raw, { ...options, seed: 8 }],
    ]
    const prints = variants.map(([data, how]) => split('x', data, how).train.fingerprint)
    expect(new Set(prints).size).toBe(variants.length)
  })

  it('shortens training by seed and test to its first samples', () => {
    const short = { ...options, trainLimit: 300, testLimit: 5, calibration: 50 }
    const { train, validation, calibration, test } = split('numbers', raw, short)
    expect([train.size, validation.size, calibration.size, test.size]).toEqual([270, 30, 50, 5])
    expect(numbersOf(test)).toEqual([20000, 20001, 20002, 20003, 20004])
    expect(Math.min(...counts(train))).toBeGreaterThan(40)
  })

  it.each([
    ['one sample', 1, 0.1],
    ['two samples and a share of nine tenths', 2, 0.9],
  ])('refuses to split %s', (_, trainLimit, validation) => {
    const attempt = () => split('numbers', raw, { ...options, trainLimit, validation })
    expect(attempt).toThrow(UserError)
    expect(attempt).toThrow(/data: too few training samples/)
  })

  it('reads no sample that is not there and writes none beyond the memory given', () => {
    const { test } = split('numbers', raw, options)
    expect(() => test.read(100, new Float32Array(2), 0)).toThrow(/internal: sample 100/)
    expect(() => test.read(0, new Float32Array(3), 2)).toThrow(/internal: sample 0/)
  })
})

describe('preprocessing', () => {
  const image: RawData = {
    shape: [2, 1, 2],
    classes: ['a'],
    train: { samples: Uint8Array.of(0, 255, 51, 102, 0, 255, 51, 102), labels: new Int32Array(2) },
    test: { samples: Uint8Array.of(0, 255, 51, 102), labels: new Int32Array(1) },
  }
  const read = (how: Parameters<typeof preprocessOptions.parse>[0]) => {
    const { test } = split('x', image, { seed: 1, preprocess: preprocessOptions.parse(how) })
    const into = new Float32Array(test.shape.reduce((a, b) => a * b, 1) + 1).fill(9)
    test.read(0, into, 1)
    return { shape: test.shape, background: [...test.background!], values: [...into].map(round) }
  }
  const round = (value: number) => Math.round(value * 1e6) / 1e6

  it('gives 0..1 by default', () => {
    expect(read({})).toEqual({
      shape: [2, 1, 2],
      background: [0, 0],
      values: [9, 0, 1, 0.2, 0.4],
    })
  })

  it('subtracts the mean after scaling and divides by the deviation, per channel', () => {
    expect(read({ mean: [0.5, 0.2], std: [0.5, 0.1] }).values).toEqual([9, -1, 1, 0, 2])
    expect(read({ mean: 0.5, std: 0.5, scale: 1 / 255 }).values).toEqual([9, -1, 1, -0.6, -0.2])
  })

  it('pads with the value of a black pixel', () => {
    const { shape, background, values } = read({ mean: [0.5, 0], std: 0.5, pad: 1 })
    expect(shape).toEqual([2, 3, 4])
    expect(background).toEqual([-1, 0])
    const dark = [-1, -1, -1, -1]
    const black = [0, 0, 0, 0]
    expect(values.slice(1)).toEqual(
      [dark, [-1, -1, 1, -1], dark, black, [0, 0.4, 0.8, 0], black].flat(),
    )
  })

  it.each(['mean', 'std'])('refuses a %s for another count of channels', (name) => {
    expect(() => read({ [name]: [1, 1, 1] })).toThrow(UserError)
    expect(() => read({ [name]: [1, 1, 1] })).toThrow(
      `data.preprocess.${name}: the images have 2 channels: 3 values`,
    )
  })
})

describe('stratifiedOrder', () => {
  it('holds rare classes in proportion in every prefix', () => {
    const labels = Int32Array.from({ length: 1100 }, (_, index) => (index < 1000 ? 0 : 1))
    const order = stratifiedOrder(labels, Uint32Array.from(labels.keys()), random(1, 'test'))
    expect([...order].sort((a, b) => a - b)).toEqual([...labels.keys()])
    for (const length of [11, 110, 333, 1000]) {
      const rare = order.subarray(0, length).filter((index) => labels[index] === 1).length
      expect(Math.abs(rare - length / 11)).toBeLessThanOrEqual(1)
    }
  })
})
