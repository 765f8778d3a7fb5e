// Test samples on their way to other processes.
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { columnMemory } from '../../base/samples.ts'
import { inFile } from '../../benchmarks/test-data.ts'
import type { Dataset, DatasetRecipe } from '../../data/dataset.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { storedDataset } from '../../data/stored-dataset.ts'
import { mixedData } from '../stages/mixed-data.ts'
import { temporaryFolder } from '../support/folder.ts'

function contentOf(dataset: Dataset) {
  return Array.from({ length: dataset.size }, (_, index) => {
    const target = new Float32Array(dataset.targetWidth)
    dataset.target(index, target, 0)
    const values = dataset.columns.map((column, at) => {
      const memory = columnMemory(column, 1)
      dataset.read(index, at, memory, 0)
      return [...memory]
    })
    return [values, [...target], dataset.labels[index]]
  })
}

it('samples in memory are the same in a file, told as JSON but for typed arrays', () => {
  const { recipe } = mixedData(9, {
    indices: Uint32Array.of(7, 2, 5),
    labels: Int32Array.of(2, 1, 0),
    preprocess: preprocessOptions.parse({ mean: 0.5, layout: 'nhwc' }),
  })
  const moved = inFile(recipe, join(temporaryFolder(), 'test.records'))
  expect('path' in moved.store.place).toBe(true)
  expect(moved.store.size).toBe(3)
  const { indices, labels } = moved
  const told: DatasetRecipe = {
    ...(JSON.parse(JSON.stringify({ ...moved, indices: 0, labels: 0 })) as DatasetRecipe),
    ...{ indices, labels },
  }
  expect(contentOf(storedDataset(told))).toEqual(contentOf(storedDataset(recipe)))
})

it('samples in a file stay where they are', () => {
  const { recipe } = mixedData(4)
  const moved = inFile(recipe, join(temporaryFolder(), 'test.records'))
  expect(inFile(moved, '/nowhere/test.records')).toBe(moved)
})
