import { expect, it } from '@jest/globals'
import { batchCount, batches, type EpochOptions, take } from '../../data/batches.ts'
import type { Dataset } from '../../data/dataset.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { layOut, memoryWriter, viewsOf } from '../../data/store.ts'
import { storedDataset } from '../../data/stored-dataset.ts'
import { datasetOf, imagesOf, recipeOf } from '../support/samples.ts'

// Sample i is [i, -i, i/2, i+1] as a 1 x 2 x 2 image.
const counting = datasetOf({
  source: 'counting',
  shape: [1, 2, 2],
  classes: ['even', 'odd'],
  labels: Int32Array.from({ length: 10 }, (_, index) => index % 2),
  write: (index, into) => into.set([index, -index, index / 2, index + 1]),
})
const dataset: Dataset = {
  ...counting,
  image: {
    column: 0,
    shape: [1, 2, 2],
    background: Float32Array.of(-5),
    white: Float32Array.of(1),
    read: (index, into, offset) => counting.read(index, 0, into, offset),
    arrange: () => undefined,
  },
}
const run = (options: EpochOptions) =>
  [...batches(dataset, options)].map(({ indices, size }) => ({ indices: [...indices], size }))
const epochOf = (options: EpochOptions) => {
  const inputs: number[] = []
  for (const batch of batches(dataset, options)) inputs.push(...batch.columns[0]!)
  return inputs
}

it('goes through the data in its own order unless it is shuffled', () => {
  expect(run({ size: 4 })).toEqual([
    { indices: [0, 1, 2, 3], size: 4 },
    { indices: [4, 5, 6, 7], size: 4 },
    { indices: [8, 9], size: 2 },
  ])
})

it('puts samples, labels and indices side by side', () => {
  for (const batch of batches(dataset, { size: 3, shuffle: true, seed: 3 })) {
    const [values] = batch.columns
    expect(values).toHaveLength(batch.size * 4)
    for (const [place, index] of batch.indices.entries()) {
      expect([...values!.subarray(place * 4, place * 4 + 4)]).toEqual([
        ...[index, -index, index / 2, index + 1].map(Math.fround),
      ])
      expect(batch.labels[place]).toBe(index % 2)
    }
  }
})

it('takes every sample once an epoch, in an order that seed and epoch decide', () => {
  const options = { size: 4, shuffle: true, seed: 1, epoch: 2 }
  const order = (how: EpochOptions) => run(how).flatMap(({ indices }) => indices)
  expect(order(options).sort((a, b) => a - b)).toEqual([...Array(10).keys()])
  expect(order(options)).toEqual(order(options))
  expect(order({ ...options, size: 3 })).toEqual(order(options))
  expect(order({ ...options, epoch: 3 })).not.toEqual(order(options))
  expect(order({ ...options, seed: 2 })).not.toEqual(order(options))
})

it.each([
  [4, false, 3],
  [4, true, 2],
  [5, true, 2],
  [10, true, 1],
  [16, false, 1],
  [16, true, 0],
])('makes batches of %i, dropping the last: %s, %i times', (size, dropLast, count) => {
  expect(run({ size, dropLast })).toHaveLength(count)
  expect(batchCount(dataset.size, { size, dropLast })).toBe(count)
})

it('augments a sample by seed, epoch and index, whatever the batch', () => {
  const augment = { flip: true, shift: 1 }
  const options = { size: 4, seed: 5, epoch: 1, augment }
  expect(epochOf(options)).toEqual(epochOf({ ...options, size: 10 }))
  expect(epochOf(options)).not.toEqual(epochOf({ size: 4 }))
  expect(epochOf({ ...options, epoch: 2 })).not.toEqual(epochOf(options))
  expect(epochOf({ ...options, augment: { flip: false, shift: 0 } })).toEqual(epochOf({ size: 4 }))
  expect(epochOf({ ...options, augment: { shift: 1 } })).toContain(-5)
})

it('uses the same memory for every batch', () => {
  const memories = new Set(
    [...batches(dataset, { size: 4 })].map(({ columns }) => columns[0]!.buffer),
  )
  expect(memories.size).toBe(1)
})

it('takes samples by index into memory of their own', () => {
  const batch = take(dataset, [7, 0, 7])
  expect([...batch.columns[0]!]).toEqual([7, -7, 3.5, 8, 0, -0, 0, 1, 7, -7, 3.5, 8])
  expect([...batch.labels]).toEqual([1, 0, 1])
  expect([...batch.indices]).toEqual([7, 0, 7])
  expect(batch.size).toBe(3)
})

it('makes no batch of no data', () => {
  expect([...batches({ ...dataset, size: 0 }, { size: 4 })]).toEqual([])
})

// Sample i: an image of 1 x 1 x 2 bytes, three ids, one float, and two target numbers.
const layout = layOut([
  { name: 'image', dtype: 'uint8', shape: [1, 1, 2] },
  { name: 'ids', dtype: 'int32', shape: [3], ids: 100 },
  { name: 'weight', dtype: 'float32', shape: [] },
  { name: ':target', dtype: 'float32', shape: [2] },
])
const writer = memoryWriter(layout, 'several', 1)
const views = viewsOf(layout, writer.record)
for (let index = 0; index < 6; index++) {
  views[0]!.set([index, 255 - index])
  views[1]!.set([index, 2 * index, 3 * index])
  views[2]!.set([index / 4])
  views[3]!.set([-index, index / 2])
  writer.next()
}
const recipe = recipeOf(writer.finish(), { labels: new Int32Array(6), group: 2 })
const several = storedDataset({ ...recipe, preprocess: preprocessOptions.parse({ scale: 1 }) })

it('keeps columns of several types side by side, with their targets', () => {
  expect(several.columns).toMatchObject([
    { name: 'image', dtype: 'float32', shape: [1, 1, 2] },
    { name: 'image.raw', dtype: 'uint8', shape: [1, 2, 1] },
    { name: 'image.planes', dtype: 'uint8', shape: [1, 1, 2] },
    { name: 'ids', dtype: 'int32', shape: [3], ids: 100 },
    { name: 'weight', dtype: 'float32', shape: [] },
  ])
  const { columns, targets } = take(several, [5, 2])
  expect(columns).toEqual([
    Float32Array.of(5, 250, 2, 253),
    Uint8Array.of(5, 250, 2, 253),
    Uint8Array.of(5, 250, 2, 253),
    Int32Array.of(5, 10, 15, 2, 4, 6),
    Float32Array.of(1.25, 0.5),
  ])
  expect([...targets]).toEqual([-5, 2.5, -2, 1])
})

it('reads only the columns that are asked for', () => {
  const [batch] = batches(several, { size: 6, columns: [3] })
  expect(batch!.columns.map(({ length }) => length)).toEqual([0, 0, 0, 18, 0])
  expect(batch!.targets).toHaveLength(12)
})

it('shuffles what belongs together as one', () => {
  const orders = [1, 2, 3].map((epoch) => {
    const [batch] = batches(several, { size: 6, shuffle: true, seed: 4, epoch })
    return [...batch!.indices]
  })
  for (const order of orders) {
    expect([...order].sort()).toEqual([0, 1, 2, 3, 4, 5])
    for (const place of [0, 2, 4]) {
      expect(order[place]! % 2).toBe(0)
      expect(order[place + 1]).toBe(order[place]! + 1)
    }
  }
  expect(new Set(orders.map(String)).size).toBeGreaterThan(1)
})

it('puts images into the order of the model after they are augmented', () => {
  const bytes = Uint8Array.from({ length: 2 * 3 * 2 * 2 }, (_, at) => at * 9)
  const labels = new Int32Array(2)
  const bare = { scale: 1, layout: 'nhwc', colour: 'bgr' } as const
  const turned = imagesOf(bytes, [3, 2, 2], { labels, preprocess: preprocessOptions.parse(bare) })
  const straight = imagesOf(bytes, [3, 2, 2], {
    labels,
    preprocess: preprocessOptions.parse({ scale: 1 }),
  })
  expect(turned.columns[0]!.shape).toEqual([2, 2, 3])
  for (const augment of [undefined, { shift: 1, flip: true }]) {
    const [[one], [other]] = [turned, straight].map((data) =>
      [...batches(data, { size: 2, seed: 8, epoch: 1, augment })].map(({ columns }) => columns[0]!),
    ) as [[Float32Array], [Float32Array]]
    const expected = Float32Array.from({ length: 24 }, (_, at) => {
      const [image, pixel, channel] = [Math.floor(at / 12), Math.floor(at / 3) % 4, at % 3]
      return other[image * 12 + (2 - channel) * 4 + pixel]!
    })
    expect(one).toEqual(expected)
  }
})
