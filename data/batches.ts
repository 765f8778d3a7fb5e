// Batches: samples side by side in an order that depends on seed and epoch alone, so that
// training resumes anywhere.
import { random } from '../base/random.ts'
import { type AugmentOptions, augmenter } from './augment.ts'
import type { Batch, Dataset } from './dataset.ts'
import { mixer } from './mix.ts'

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
  /** How many numbers the inputs of the largest batch have. */
  readonly values: number
  /**
   * Writes batch `number`, 0 … count-1, of an epoch to `inputs`, which holds at least `values`
   * numbers.
   */
  make(epoch: number, number: number, inputs: Float32Array): Batch
}

/**
 * Prepares what all batches of a data set have in common.
 *
 * Seed and epoch decide the order, with the sample's index how it is augmented, and with the
 * batch's number how it is mixed: whoever makes a batch, and in whatever order, it is the same.
 * Options that do not fit the samples are a `UserError`.
 */
export function batchMaker(dataset: Dataset, options: BatchOptions): BatchMaker {
  const { size, seed = 0, shuffle = false, augment } = options
  const change = augment && augmenter(dataset, augment)
  const mix = augment && mixer(dataset, augment, seed)
  const values = valuesOf(dataset)
  const orderOf = (epoch: number) =>
    shuffle
      ? random(seed, 'batches', epoch).permutation(dataset.size)
      : Uint32Array.from({ length: dataset.size }, (_, index) => index)
  let order: { readonly epoch: number; readonly indices: Uint32Array } | undefined
  return {
    count: batchCount(dataset.size, options),
    values: Math.min(size, dataset.size) * values,
    make(epoch, number, inputs) {
      if (order?.epoch !== epoch) order = { epoch, indices: orderOf(epoch) }
      const indices = order.indices.slice(number * size, (number + 1) * size)
      const labels = new Int32Array(indices.length)
      fill(dataset, indices, inputs, labels)
      if (change)
        for (const [place, index] of indices.entries())
          change(inputs, place * values, random(seed, 'augment', epoch, index))
      const own = inputs.subarray(0, indices.length * values)
      const mixed = mix?.({ inputs: own, labels }, epoch, number)
      return {
        inputs: own,
        labels,
        indices,
        size: indices.length,
        ...(mixed ? { mix: mixed } : {}),
      }
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
  const inputs = new Float32Array(maker.values)
  for (let number = from; number < maker.count; number++) yield maker.make(epoch, number, inputs)
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
