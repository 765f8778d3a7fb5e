// Batches: samples side by side in an order that depends on seed and epoch alone, so that
// training resumes anywhere.

import { random } from '../base/random.ts'
import { type ColumnMemory, columnMemory, lengthOf } from '../base/samples.ts'
import { type AugmentOptions, augmenter } from './augment.ts'
import type { Batch, Dataset } from './dataset.ts'
import { mixer } from './mix.ts'
import { varied } from './varied.ts'

/** Which batches are made of a data set. */
export interface BatchOptions {
  /** Samples of a batch, at least 1; the last batch may hold fewer. */
  readonly size: number
  readonly seed?: number
  /** A new order each epoch, instead of the data set's own. */
  readonly shuffle?: boolean
  readonly augment?: AugmentOptions | undefined
  /** Leaves out a last batch that is not full. */
  readonly dropLast?: boolean
  /** The columns that are wanted, by position; all unless told. The others stay empty. */
  readonly columns?: readonly number[] | undefined
}

/** Which part of which epoch. */
export interface EpochOptions extends BatchOptions {
  readonly epoch?: number
  /** The number of the first batch. */
  readonly from?: number
}

/** Makes single batches. */
export interface BatchMaker {
  /** How many batches an epoch has. */
  readonly count: number
  /** Memory for the columns of the largest batch. */
  memory(): ColumnMemory[]
  /** Writes batch `number`, 0 … count-1, of an epoch to `columns`, which {@link memory} made. */
  make(epoch: number, number: number, columns: readonly ColumnMemory[]): Batch
}

/**
 * Prepares what all batches of a data set have in common.
 *
 * Seed and epoch decide the order, with the sample's index how it is augmented, and with the
 * batch's number how it is mixed: whoever makes a batch, and in whatever order, it is the same.
 * Samples that belong together stay together. Options that do not fit the samples are a `UserError`.
 */
export function batchMaker(dataset: Dataset, options: BatchOptions): BatchMaker {
  const { size, seed = 0, shuffle = false, augment, columns: wanted } = options
  const subject = augment && varied(dataset, augment)
  const change = augment && subject && augmenter(subject, augment)
  const mix = augment && subject && mixer(subject, augment, seed)
  const largest = Math.min(size, dataset.size)
  let order: { readonly epoch: number; readonly indices: Uint32Array } | undefined
  return {
    count: batchCount(dataset.size, options),
    memory: () =>
      dataset.columns.map((column, at) =>
        columnMemory(column, !wanted || wanted.includes(at) ? largest : 0),
      ),
    make(epoch, number, columns) {
      if (order?.epoch !== epoch)
        order = { epoch, indices: shuffle ? shuffled(dataset, seed, epoch) : inOrder(dataset.size) }
      const indices = order.indices.slice(number * size, (number + 1) * size)
      const batch = fill(dataset, indices, columns, subject?.column)
      if (!subject) return batch
      const { width } = subject
      const values = batch.columns[subject.column] as Float32Array // only floats can be varied
      for (const [place, index] of indices.entries()) {
        subject.read(index, values, place * width)
        change?.(values, place * width, random(seed, 'augment', epoch, index))
      }
      const mixed = mix?.(
        { inputs: values, labels: batch.labels, targets: batch.targets },
        epoch,
        number,
      )
      for (let place = 0; place < indices.length; place++) subject.arrange(values, place * width)
      return mixed ? { ...batch, mix: mixed } : batch
    },
  }
}

/**
 * Goes through a data set once, batch by batch, from batch number `from` on.
 *
 * A batch is valid until the next one is asked for: all are written to the same memory.
 */
export function* batches(
  dataset: Dataset,
  { epoch = 0, from = 0, ...options }: EpochOptions,
): Generator<Batch, void, void> {
  const maker = batchMaker(dataset, options)
  const columns = maker.memory()
  for (let number = from; number < maker.count; number++) yield maker.make(epoch, number, columns)
}

/** How many batches {@link batches} makes in an epoch. */
export function batchCount(
  datasetSize: number,
  { size, dropLast = false }: Pick<BatchOptions, 'size' | 'dropLast'>,
): number {
  return dropLast ? Math.floor(datasetSize / size) : Math.ceil(datasetSize / size)
}

/** Reads the samples of these indices as one batch of its own memory, not augmented. */
export function take(dataset: Dataset, indices: ArrayLike<number>): Batch {
  const chosen = Uint32Array.from(indices)
  return fill(
    dataset,
    chosen,
    dataset.columns.map((column) => columnMemory(column, chosen.length)),
  )
}

const inOrder = (size: number) => Uint32Array.from({ length: size }, (_, index) => index)

/** A new order of the groups, each of which keeps its own. */
function shuffled({ size, group }: Dataset, seed: number, epoch: number): Uint32Array {
  const groups = random(seed, 'batches', epoch).permutation(Math.floor(size / group))
  if (group === 1) return groups
  return Uint32Array.from(
    { length: groups.length * group },
    (_, place) => groups[Math.floor(place / group)]! * group + (place % group),
  )
}

/** Reads samples side by side; the column `except` is left to whoever varies it. */
function fill(
  dataset: Dataset,
  indices: Uint32Array,
  memory: readonly ColumnMemory[],
  except?: number,
): Batch {
  const { targetWidth } = dataset
  const labels = new Int32Array(indices.length)
  const targets = new Float32Array(indices.length * targetWidth)
  const columns = memory.map((whole, column) => {
    const width = lengthOf(dataset.columns[column]!.shape)
    const values = whole.subarray(0, indices.length * width)
    if (column === except || whole.length === 0) return values
    for (const [place, index] of indices.entries())
      dataset.read(index, column, values, place * width)
    return values
  })
  for (const [place, index] of indices.entries()) {
    labels[place] = dataset.labels[index]!
    dataset.target(index, targets, place * targetWidth)
  }
  return { columns, labels, targets, indices, size: indices.length }
}
