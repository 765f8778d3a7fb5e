// Data sets made of numbers in tests: records in memory, as the readers' own data sets are.
import type { Dataset, DatasetRecipe } from '../../data/dataset.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { layOut, memoryWriter, type Store, viewsOf } from '../../data/store.ts'
import { storedDataset } from '../../data/stored-dataset.ts'

/** What a data set is made of. */
export interface MadeOf {
  readonly source: string
  /** Without the axis of the samples. */
  readonly shape: readonly number[]
  readonly classes: readonly string[]
  /** One a sample. */
  readonly labels: Int32Array
  /** Writes the values of one sample. */
  readonly write: (index: number, into: Float32Array) => void
}

/** Makes a data set with one column of floats, `x`; it can go to workers and to other processes. */
export function datasetOf({ source, shape, classes, labels, write }: MadeOf): Dataset {
  const layout = layOut([{ name: 'x', dtype: 'float32', shape }])
  const writer = memoryWriter(layout, source, labels.length)
  const [values] = viewsOf(layout, writer.record)
  for (const index of labels.keys()) {
    write(index, values as Float32Array)
    writer.next()
  }
  return storedDataset(recipeOf(writer.finish(), { source, classes, labels }))
}

/** Makes a data set of images, bytes `[labels.length, C, H, W]`. */
export function imagesOf(
  bytes: Uint8Array,
  shape: readonly number[],
  rest: Pick<DatasetRecipe, 'labels'> & Partial<DatasetRecipe>,
): Dataset {
  return storedDataset(recipeOf(imageStore(bytes, shape), rest))
}

/** Records with one column of images, `image`. */
export function imageStore(bytes: Uint8Array, shape: readonly number[]): Store {
  const width = shape.reduce((product, dim) => product * dim, 1)
  const layout = layOut([{ name: 'image', dtype: 'uint8', shape }])
  const writer = memoryWriter(layout, 'images')
  for (let start = 0; start < bytes.length; start += width) {
    writer.record.set(bytes.subarray(start, start + width))
    writer.next()
  }
  return writer.finish()
}

/** The recipe of a data set with all records of a store, or those that are told. */
export function recipeOf(
  store: Store,
  rest: Pick<DatasetRecipe, 'labels'> & Partial<DatasetRecipe>,
): DatasetRecipe {
  return {
    source: 'made up',
    store,
    indices: Uint32Array.from({ length: store.size }, (_, index) => index),
    classes: [],
    group: 1,
    targetNames: [],
    preprocess: preprocessOptions.parse({}),
    ...rest,
  }
}

/** A data set whose first column reads other values than it holds. */
export function reading(
  dataset: Dataset,
  read: (index: number, into: Float32Array, offset: number) => void,
): Dataset {
  return {
    ...dataset,
    read: (index, _column, into, offset) => read(index, into as Float32Array, offset),
  }
}
