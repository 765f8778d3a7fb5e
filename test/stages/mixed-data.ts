// A data set of several columns, for tests of how stages feed models.
import type { Dataset, DatasetRecipe } from '../../data/dataset.ts'
import { layOut, memoryWriter, type StoredColumn, viewsOf } from '../../data/store.ts'
import { storedDataset, targetColumn } from '../../data/stored-dataset.ts'
import { recipeOf } from '../support/samples.ts'

/** Numbers of a column of {@link mixedData} for one sample. */
export const numbersOf = (sample: number, first: number, count: number): number[] =>
  Array.from({ length: count }, (_, place) => first + sample * 10 + place)

/** Samples of a vector `v`, a text `text` with its mask, an image, and two target numbers. */
export function mixedData(size: number, rest: Partial<DatasetRecipe> = {}): Dataset {
  const columns: readonly Omit<StoredColumn, 'offset'>[] = [
    { name: 'v', dtype: 'float32', shape: [2] },
    { name: 'text', dtype: 'int32', shape: [3], ids: 500 },
    { name: 'text.attention_mask', dtype: 'int32', shape: [3] },
    { name: 'image', dtype: 'uint8', shape: [1, 2, 2] },
    { name: targetColumn, dtype: 'float32', shape: [2] },
  ]
  const layout = layOut(columns)
  const writer = memoryWriter(layout, 'mixed')
  const [v, text, mask, image, target] = viewsOf(layout, writer.record)
  for (let sample = 0; sample < size; sample++) {
    v!.set(numbersOf(sample, 0.5, 2))
    text!.set(numbersOf(sample, 1, 3))
    mask!.set([1, 1, sample % 2])
    image!.set(numbersOf(sample, 2, 4))
    target!.set([sample % 2, -1])
    writer.next()
  }
  return storedDataset(
    recipeOf(writer.finish(), {
      labels: Int32Array.from({ length: size }, (_, sample) => sample % 3),
      classes: ['a', 'b', 'c'],
      ...rest,
    }),
  )
}
