import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import type { Dataset, Splits } from '../../data/dataset.ts'
import { featureOptions } from '../../data/features/index.ts'
import { prepareTable } from '../../data/prepare.ts'
import type { PreparationOptions } from '../../data/prepared.ts'
import { type PreprocessOptions, preprocessOptions } from '../../data/preprocess.ts'
import { imageColumns, imageRows, imagesIn } from '../../data/readers/images-in-memory.ts'
import type { ImageShape } from '../../data/readers/reader.ts'
import { holdOut, splitIndices } from '../../data/splits.ts'
import { memoryWriter } from '../../data/store.ts'
import { storedDataset } from '../../data/stored-dataset.ts'
import { stratifiedOrder } from '../../data/stratify.ts'
import { imagesOf } from '../support/samples.ts'

interface Raw {
  readonly shape: ImageShape
  readonly classes: readonly string[]
  readonly train: { readonly samples: Uint8Array; readonly labels: Int32Array }
  readonly test: { readonly samples: Uint8Array; readonly labels: Int32Array }
}

// 1 x 1 images of two channels whose bytes number the sample; training below 20,000, test from
// there on.
const numbered = (count: number, first: number, classes: number) => ({
  samples: Uint8Array.from({ length: count * 2 }, (_, at) => {
    const number = first + (at >> 1)
    return at % 2 === 0 ? number >> 8 : number & 255
  }),
  labels: Int32Array.from({ length: count }, (_, index) => Math.floor((index * classes) / count)),
})
const raw: Raw = {
  shape: [2, 1, 1],
  classes: ['a', 'b', 'c', 'd'],
  train: numbered(2000, 0, 4),
  test: numbered(100, 20000, 4),
}
type Options = Partial<PreparationOptions> & { readonly preprocess: PreprocessOptions }
const preprocess = preprocessOptions.parse({ scale: 1 })
const options: Options = { seed: 7, preprocess }

/** The splits as a recipe has them. */
async function split(
  source: string,
  { shape, classes, train, test }: Raw,
  { preprocess, ...options }: Options,
): Promise<Splits> {
  const part = ({ samples, labels }: Raw['train']) =>
    imageRows(source, shape, labels, async () => imagesIn(samples, shape))
  const { parts, splits } = await prepareTable(
    { columns: imageColumns, train: part(train), test: part(test), label: 'label', classes },
    {
      ...{ seed: 1, damaged: 'refuse', validation: 0.1, testShare: 0.2, calibration: 512 },
      features: { image: featureOptions.parse({ kind: 'tensor', column: 'image' }) },
      target: { kind: 'class', columns: [], scale: 1 },
      ...options,
    },
    { write: (_part, layout) => memoryWriter(layout, source), log: () => undefined },
  )
  const datasetOf = (name: keyof Splits) => {
    const { part, indices } = splits[name]!
    const { store, labels, group } = parts[part]!
    return storedDataset({
      ...{ source, store, indices, classes, group, preprocess, targetNames: [] },
      labels: Int32Array.from(indices, (index) => labels[index]!),
    })
  }
  return {
    train: datasetOf('train'),
    validation: datasetOf('validation'),
    calibration: datasetOf('calibration'),
    test: datasetOf('test'),
  }
}

const numbersOf = (dataset: Dataset) => {
  const sample = new Float32Array(2)
  return Array.from({ length: dataset.size }, (_, index) => {
    dataset.read(index, 0, sample, 0)
    return sample[0]! * 256 + sample[1]!
  })
}
const counts = ({ labels }: Pick<Dataset, 'labels'>) =>
  [0, 1, 2, 3].map((label) => labels.filter((other) => other === label).length)

describe('split', () => {
  it('holds a stratified tenth out, and calibrates on 512 training samples', async () => {
    const { train, validation, calibration, test } = await split('numbers', raw, options)
    expect([train.size, validation.size, calibration.size, test.size]).toEqual([
      1800, 200, 512, 100,
    ])
    expect(counts(train)).toEqual([450, 450, 450, 450])
    expect(counts(validation)).toEqual([50, 50, 50, 50])
    expect(counts(calibration)).toEqual([128, 128, 128, 128])
    expect(counts({ labels: calibration.labels.slice(0, 40) })).toEqual([10, 10, 10, 10])
  })

  it('shares no sample between training, validation and test, and loses none', async () => {
    const { train, validation, calibration, test } = await split('numbers', raw, options)
    const together = [...numbersOf(train), ...numbersOf(validation)].sort((a, b) => a - b)
    expect(together).toEqual(Array.from({ length: 2000 }, (_, index) => index))
    expect(numbersOf(test)).toEqual(Array.from({ length: 100 }, (_, index) => 20000 + index))
    const training = new Set(numbersOf(train))
    expect(numbersOf(calibration).filter((number) => !training.has(number))).toEqual([])
    expect(new Set(numbersOf(calibration)).size).toBe(512)
  })

  it('keeps labels with their samples', async () => {
    const { train, validation, calibration } = await split('numbers', raw, options)
    for (const part of [train, validation, calibration])
      expect(numbersOf(part).map((number) => Math.floor(number / 500))).toEqual([...part.labels])
  })

  it('is the same for the same seed, and another for another', async () => {
    const one = await split('numbers', raw, options)
    const two = await split('elsewhere', raw, options)
    const other = await split('numbers', raw, { ...options, seed: 8 })
    for (const part of ['train', 'validation', 'calibration', 'test'] as const) {
      expect(numbersOf(one[part])).toEqual(numbersOf(two[part]))
      expect(one[part].fingerprint).toBe(two[part].fingerprint)
      if (part === 'test') expect(other[part].fingerprint).toBe(one[part].fingerprint)
      else expect(numbersOf(other[part])).not.toEqual(numbersOf(one[part]))
    }
  })

  it('has another fingerprint for other bytes, labels, preprocessing, classes or samples', async () => {
    const { samples, labels } = raw.train
    const variants: [Raw, Options][] = [
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
    const prints: string[] = []
    for (const [data, how] of variants) prints.push((await split('x', data, how)).train.fingerprint)
    expect(new Set(prints).size).toBe(variants.length)
  })

  it('shortens training by seed and test to its first samples', async () => {
    const short = { ...options, trainLimit: 300, testLimit: 5, calibration: 50 }
    const { train, validation, calibration, test } = await split('numbers', raw, short)
    expect([train.size, validation.size, calibration.size, test.size]).toEqual([270, 30, 50, 5])
    expect(numbersOf(test)).toEqual([20000, 20001, 20002, 20003, 20004])
    expect(Math.min(...counts(train))).toBeGreaterThan(40)
  })

  it.each([
    ['one sample', 1, 0.1],
    ['two samples and a share of nine tenths', 2, 0.9],
  ])('refuses to split %s', async (_, trainLimit, validation) => {
    const attempt = split('numbers', raw, { ...options, trainLimit, validation })
    await expect(attempt).rejects.toThrow(UserError)
    await expect(attempt).rejects.toThrow(/data: too few training samples/)
  })

  it('reads no sample that is not there and writes none beyond the memory given', async () => {
    const { test } = await split('numbers', raw, options)
    expect(() => test.read(100, 0, new Float32Array(2), 0)).toThrow(/internal: sample 100/)
    expect(() => test.read(0, 0, new Float32Array(3), 2)).toThrow(/internal: sample 0/)
  })
})

describe('preprocessing', () => {
  const samples = Uint8Array.of(0, 255, 51, 102)
  const read = (how: Parameters<typeof preprocessOptions.parse>[0]) => {
    const labels = new Int32Array(1)
    const preprocess = preprocessOptions.parse(how)
    const test = imagesOf(samples, [2, 1, 2], { labels, preprocess })
    const { shape } = test.columns[0]!
    const into = new Float32Array(shape.reduce((a, b) => a * b, 1) + 1).fill(9)
    test.read(0, 0, into, 1)
    return { shape, background: [...test.image!.background], values: [...into].map(round) }
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
      `preprocess.${name}: the samples have 2 channels: 3 values`,
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

describe('samples that belong together', () => {
  // Fours, whose first member has the label.
  const labels = Int32Array.from({ length: 400 }, (_, index) => Math.floor(index / 4) % 2)
  const groupsOf = (indices: Uint32Array) => [...new Set(indices.map((index) => index >> 2))]

  it('are in one split, in their order', () => {
    const all = Uint32Array.from(labels.keys())
    const chosen = { seed: 3, validation: 0.25, calibration: 50, limit: 203, group: 4 }
    const { train, validation, calibration } = splitIndices(labels, all, chosen)
    expect([train.length, validation.length, calibration.length]).toEqual([148, 52, 48])
    for (const part of [train, validation, calibration])
      for (const [place, index] of part.entries()) expect(index % 4).toBe(place % 4)
    const held = new Set(groupsOf(validation))
    expect(groupsOf(train).filter((group) => held.has(group))).toEqual([])
    expect(held.size).toBe(13)
  })

  it('are held out for tests together, half of each class, the same for every seed', () => {
    const { test, rest } = holdOut(labels, 0.2, 4)
    expect([test.length, rest.length]).toEqual([80, 320])
    expect([...test, ...rest].sort((a, b) => a - b)).toEqual([...labels.keys()])
    expect(test.filter((index) => labels[index] === 1)).toHaveLength(40)
    expect(groupsOf(test)).toHaveLength(20)
    expect(holdOut(labels, 0.2, 4).test).toEqual(test)
  })
})
