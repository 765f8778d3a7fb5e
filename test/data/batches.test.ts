import { expect, it } from '@jest/globals'
import { batchCount, batches, type EpochOptions, take } from '../../data/batches.ts'
import type { Dataset } from '../../data/dataset.ts'

// Sample i is [i, -i, i/2, i+1] as a 1 x 2 x 2 image.
const dataset: Dataset = {
  source: 'counting',
  size: 10,
  shape: [1, 2, 2],
  classes: ['even', 'odd'],
  labels: Int32Array.from({ length: 10 }, (_, index) => index % 2),
  fingerprint: 'counting',
  background: Float32Array.of(-5),
  read(index, into, offset) {
    into.set([index, -index, index / 2, index + 1], offset)
  },
}
const run = (options: EpochOptions) =>
  [...batches(dataset, options)].map(({ indices, size }) => ({ indices: [...indices], size }))
const epochOf = (options: EpochOptions) => {
  const inputs: number[] = []
  for (const batch of batches(dataset, options)) inputs.push(...batch.inputs)
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
    expect(batch.inputs).toHaveLength(batch.size * 4)
    for (const [place, index] of batch.indices.entries()) {
      expect([...batch.inputs.subarray(place * 4, place * 4 + 4)]).toEqual([
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
  const memories = new Set([...batches(dataset, { size: 4 })].map(({ inputs }) => inputs.buffer))
  expect(memories.size).toBe(1)
})

it('takes samples by index into memory of their own', () => {
  const batch = take(dataset, [7, 0, 7])
  expect([...batch.inputs]).toEqual([7, -7, 3.5, 8, 0, -0, 0, 1, 7, -7, 3.5, 8])
  expect([...batch.labels]).toEqual([1, 0, 1])
  expect([...batch.indices]).toEqual([7, 0, 7])
  expect(batch.size).toBe(3)
})

it('makes no batch of no data', () => {
  expect([...batches({ ...dataset, size: 0 }, { size: 4 })]).toEqual([])
})
