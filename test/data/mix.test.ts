import { expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { augmentOptions } from '../../data/augment.ts'
import { batches, batchMaker, type EpochOptions } from '../../data/batches.ts'
import { beta } from '../../data/beta.ts'
import type { Batch } from '../../data/dataset.ts'
import { type MixOptions, mixer, mixProbabilities } from '../../data/mix.ts'
import { layOut, memoryWriter, viewsOf } from '../../data/store.ts'
import { storedDataset, targetColumn } from '../../data/stored-dataset.ts'
import { datasetOf, imageStore, recipeOf } from '../support/samples.ts'

const size = 40
const [channels, height, width] = [2, 5, 6]
const values = channels * height * width
// Every value of sample i is i, so that a blend tells what was blended.
const shape = [channels, height, width]
const dataset = datasetOf({
  source: 'constants',
  shape,
  classes: Array.from({ length: size }, (_, index) => `${index}`),
  labels: Int32Array.from({ length: size }, (_, index) => index),
  write: (index, into) => into.fill(index),
})
const options = (mix: MixOptions, rest: Partial<EpochOptions> = {}): EpochOptions => ({
  size: 8,
  seed: 3,
  epoch: 1,
  shuffle: true,
  augment: augmentOptions.parse(mix),
  ...rest,
})
const copies = (how: EpochOptions): Batch[] =>
  Array.from(batches(dataset, how), (batch) => ({
    ...batch,
    columns: batch.columns.map((column) => column.slice()),
  }))
const sampleOf = ({ columns }: Batch, place: number) =>
  (columns[0] as Float32Array).subarray(place * values, (place + 1) * values)

it('blends two samples as the label says', () => {
  const shares = new Set<number>()
  for (const batch of copies(options({ mixup: 1 }))) {
    expect([...batch.labels]).toEqual([...batch.indices])
    for (const [place, own] of batch.labels.entries()) {
      const share = batch.mix!.shares[place]!
      const expected = share * own + (1 - share) * batch.mix!.partners[place]!
      for (const value of sampleOf(batch, place)) expect(value).toBeCloseTo(expected, 4)
      shares.add(share)
    }
  }
  expect(shares.size).toBe(size / 8)
  for (const share of shares) expect(share >= 0 && share <= 1).toBe(true)
})

it('puts a rectangle of the other sample in, of the area that the label says', () => {
  let least = 1
  for (const batch of copies(options({ cutmix: 1 }, { size: 4 })))
    for (const [place, own] of batch.labels.entries()) {
      const sample = sampleOf(batch, place)
      const other = batch.mix!.partners[place]!
      const share = batch.mix!.shares[place]!
      expect([...sample].every((value) => value === own || value === other)).toBe(true)
      expect(sample.filter((value) => value === own).length / values).toBeCloseTo(share, 6)
      // It is a rectangle, and the same in every channel.
      const foreign = [...sample.keys()].filter((at) => sample[at] === other)
      const rows = new Set(foreign.map((at) => Math.floor(at / width) % height))
      const columns = new Set(foreign.map((at) => at % width))
      expect(foreign).toHaveLength(channels * rows.size * columns.size)
      least = Math.min(least, share)
    }
  expect(least).toBeLessThan(1)
})

it.each([{ mixup: 1 }, { cutmix: 1 }])('blends target numbers as the samples with %j', (mix) => {
  const inputs = Float32Array.from({ length: 4 * values }, (_, at) => Math.floor(at / values))
  const labels = Int32Array.of(0, 1, 2, 3)
  const targets = Float32Array.of(0, 0, 10, 1, 20, 2, 30, 3)
  const { partners, shares } = mixer({ shape }, mix, 5)!({ inputs, labels, targets }, 1, 0)!
  for (const [place, other] of partners.entries()) {
    const expected = shares[place]! * place + (1 - shares[place]!) * other
    expect(targets[2 * place]).toBeCloseTo(10 * expected, 4)
    expect(targets[2 * place + 1]).toBeCloseTo(expected, 4)
  }
})

it('pairs samples both ways, and leaves over at most one', () => {
  for (const count of [1, 2, 7, 8]) {
    const labels = Int32Array.from({ length: count }, (_, index) => index)
    const inputs = new Float32Array(count * values)
    const { partners } = mixer({ shape }, { mixup: 1 }, 5)!(
      { inputs, labels, targets: new Float32Array() },
      1,
      0,
    )!
    for (const [place, other] of partners.entries()) expect(partners[other]).toBe(place)
    expect(partners.filter((other, place) => other === place)).toHaveLength(count % 2)
  }
})

it('mixes a batch the same from whichever it starts, and differently in each epoch', () => {
  const mix = { mixup: 0.4, cutmix: 1 }
  const all = copies(options(mix))
  expect(copies(options(mix, { from: 3 }))).toEqual(all.slice(3))
  const maker = batchMaker(dataset, options(mix))
  for (const number of [4, 0, 2]) expect(maker.make(1, number, maker.memory())).toEqual(all[number])
  expect(copies(options(mix, { epoch: 2 }))).not.toEqual(all)
  expect(copies(options(mix, { seed: 4 }))).not.toEqual(all)
})

it.each([
  [{ mixup: 0.2 }, [1, 0]],
  [{ cutmix: 1 }, [0, 1]],
  [{ mixup: 0.2, cutmix: 1 }, [0.5, 0.5]],
  [{ mixup: { alpha: 1, probability: 0.25 }, cutmix: 1 }, [0.25, 0.75]],
  [{ mixup: { alpha: 1 }, cutmix: { alpha: 1, probability: 0.125 } }, [0.875, 0.125]],
  [{ mixup: { alpha: 1, probability: 0.3 } }, [0.3, 0]],
] satisfies [MixOptions, number[]][])('mixes as often as %j says', (mix, expected) => {
  const { mixup, cutmix } = mixProbabilities(mix)!
  expect([mixup.probability, cutmix.probability]).toEqual(expected)
  const apply = mixer({ shape }, mix, 1)!
  const rounds = 600
  let [blended, cut] = [0, 0]
  for (let number = 0; number < rounds; number++) {
    const inputs = new Float32Array(4 * values)
    for (let place = 0; place < 4; place++) dataset.read(place, 0, inputs, place * values)
    const labels = Int32Array.of(0, 1, 2, 3)
    const mixed = apply({ inputs, labels, targets: new Float32Array() }, 1, number)
    if (!mixed) continue
    // A cut leaves whole numbers only, but for a share of 0 or 1 a blend does so, too.
    if (inputs.some((value) => !Number.isInteger(value))) blended++
    else cut++
  }
  expect(blended / rounds).toBeGreaterThan(expected[0]! - 0.1)
  expect(blended / rounds).toBeLessThan(expected[0]! + 0.06)
  expect((blended + cut) / rounds).toBeCloseTo(expected[0]! + expected[1]!, 1)
})

it.each([{}, { mixup: 0 }, { mixup: 0, cutmix: { alpha: 1, probability: 0 } }])(
  'mixes nothing with %j',
  (mix) => {
    expect(mixProbabilities(mix)).toBeUndefined()
    expect(mixer({ shape }, mix, 1)).toBeUndefined()
    expect(copies(options(mix)).every((batch) => batch.mix === undefined)).toBe(true)
  },
)

it('blends what is no image, but cannot cut it', () => {
  const rows = { shape: [values] }
  expect(mixer(rows, { mixup: 1 }, 1)).toBeDefined()
  expect(() => mixer(rows, { cutmix: 1 }, 1)).toThrow(UserError)
  expect(() => mixer(rows, { cutmix: 1 }, 1)).toThrow(/augment.cutmix: needs images .*\[60\]/)
})

it('blends the numbers to be predicted as the samples are', () => {
  const layout = layOut([
    { name: 'x', dtype: 'float32', shape: [3] },
    { name: targetColumn, dtype: 'float32', shape: [2] },
  ])
  const writer = memoryWriter(layout, 'numbers', size)
  const [inputs, wanted] = viewsOf(layout, writer.record)
  for (let index = 0; index < size; index++) {
    inputs!.fill(index)
    wanted!.set([10 * index, -index])
    writer.next()
  }
  const store = writer.finish()
  const regression = storedDataset(recipeOf(store, { labels: new Int32Array(size) }))
  for (const { columns, targets, mix } of batches(regression, options({ mixup: 1 }))) {
    expect(mix).toBeDefined()
    for (let place = 0; place < 8; place++) {
      const value = columns[0]![3 * place]!
      expect(targets[2 * place]).toBeCloseTo(10 * value, 3)
      expect(targets[2 * place + 1]).toBeCloseTo(-value, 4)
    }
  }
})

it.each([
  ['that belong together', { group: 2 }, /groups of 2 cannot be mixed/],
  [
    'with a class for each position',
    { targetClasses: { form: 'positions', order: new Int32Array(1), count: 1 } as const },
    /class for each position cannot be mixed/,
  ],
])('mixes no samples %s', (_, rest, message) => {
  const store = imageStore(new Uint8Array(48), [1, 2, 2])
  const grouped = storedDataset(recipeOf(store, { labels: new Int32Array(12), ...rest }))
  expect(() => batchMaker(grouped, options({ mixup: 1 }))).toThrow(message)
})

it('changes no images where a sample has two', () => {
  const layout = layOut([
    { name: 'one', dtype: 'uint8', shape: [3, 4, 4] },
    { name: 'two', dtype: 'uint8', shape: [3, 8, 8] },
  ])
  const writer = memoryWriter(layout, 'pairs', 1)
  writer.next()
  const pairs = storedDataset(recipeOf(writer.finish(), { labels: new Int32Array(1) }))
  const flipped = { size: 1, augment: augmentOptions.parse({ flip: true }) }
  expect(() => batchMaker(pairs, flipped)).toThrow(
    /augment: changes one image a sample: the data has 2 \(one, two\) — leave it out/,
  )
})

it.each([0.1, 0.4, 1, 2, 8])('draws from Beta(%d, %d) by mean and variance', (alpha) => {
  const source = random(1, 'beta', alpha)
  const drawn = Array.from({ length: 20_000 }, () => beta(source, alpha, alpha))
  expect(drawn.every((share) => share >= 0 && share <= 1)).toBe(true)
  const mean = drawn.reduce((sum, share) => sum + share, 0) / drawn.length
  const variance = drawn.reduce((sum, share) => sum + (share - mean) ** 2, 0) / drawn.length
  expect(mean).toBeCloseTo(0.5, 1)
  const expected = 1 / (4 * (2 * alpha + 1))
  expect(Math.abs(variance / expected - 1)).toBeLessThan(0.05)
})

it('draws a share for the smallest and the greatest alpha', () => {
  const source = random(2, 'beta')
  for (const alpha of [1e-300, 1e-6, 100])
    for (let round = 0; round < 50; round++) {
      const share = beta(source, alpha, alpha)
      expect(share >= 0 && share <= 1).toBe(true)
    }
})

it.each([
  { mixup: -1 },
  { mixup: true },
  { mixup: { alpha: 0 } },
  { mixup: { alpha: 1, probability: 2 } },
  { cutmix: { beta: 1 } },
  { mixup: Number.NaN },
  { mixup: Number.POSITIVE_INFINITY },
  { mixup: { alpha: 1, probability: 0.6 }, cutmix: { alpha: 1, probability: 0.5 } },
])('refuses the options %j', (mix) => {
  expect(augmentOptions.safeParse(mix).success).toBe(false)
})
