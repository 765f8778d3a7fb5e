// Batches: samples side by side in an order that depends on seed and epoch alone, so that
// training resumes anywhere.
import { random } from '../base/random.ts'
import { type AugmentOptions, augmenter } from './augment.ts'
import type { Batch, Dataset } from './dataset.ts'

/** Which batches are made of a data set. */
export interface BatchOptions {
  /** Samples of a batch, at least 1; the last batch may hold fewer. */
  readonly size: number
  readonly seed?: number
  readonly epoch?: number
  /** A new order each epoch, instead of the data set's own. */
  readonly shuffle?: boolean
  readonly augment?: AugmentOptions | undefined
  /** Leaves out a last batch that is not full. */
  readonly dropLast?: boolean
}

/**
 * Goes through a data set once, batch by batch.
 *
 * Seed and epoch decide the order, and with the sample's index how it is augmented. A batch is
 * valid until the next one is asked for: all are written to the same memory.
 */
export function* batches(
  dataset: Dataset,
  { size, seed = 0, epoch = 0, shuffle = false, augment, dropLast = false }: BatchOptions,
): Generator<Batch, void, void> {
  const order = shuffle
    ? random(seed, 'batches', epoch).permutation(dataset.size)
    : Uint32Array.from({ length: dataset.size }, (_, index) => index)
  const change = augment && augmenter(dataset, augment)
  const values = valuesOf(dataset)
  const most = Math.min(size, dataset.size)
  const inputs = new Float32Array(most * values)
  const labels = new Int32Array(most)
  for (let start = 0; start < order.length; start += size) {
    const indices = order.subarray(start, start + size)
    if (dropLast && indices.length < size) return
    fill(dataset, indices, inputs, labels)
    if (change)
      for (const [place, index] of indices.entries())
        change(inputs, place * values, random(seed, 'augment', epoch, index))
    yield {
      inputs: inputs.subarray(0, indices.length * values),
      labels: labels.subarray(0, indices.length),
      indices,
      size: indices.length,
    }
  }
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
  const inputs = new Float32Array(chosen.length * valuesOf(dataset))
  const labels = new Int32Array(chosen.length)
  fill(dataset, chosen, inputs, labels)
  return { inputs, labels, indices: chosen, size: chosen.length }
}

const valuesOf = ({ shape }: Dataset) => shape.reduce((product, length) => product * length, 1)

function fill(dataset: Dataset, indices: Uint32Array, inputs: Float32Array, labels: Int32Array) {
  const values = valuesOf(dataset)
  for (let place = 0; place < indices.length; place++) {
    dataset.read(indices[place]!, inputs, place * values)
    labels[place] = dataset.labels[indices[place]!]!
  }
}
