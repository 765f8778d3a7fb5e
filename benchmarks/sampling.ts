// A part of the test samples that stands for all of them, and what is true of it.
import type { Dataset } from '../data/dataset.ts'
import type { Truth } from '../tasks/task.ts'

/** So many samples at most, evenly spread, in whole groups of those that belong together. */
export function evenlySpread(
  { size, group }: Pick<Dataset, 'size' | 'group'>,
  most: number,
): Uint32Array {
  const groups = Math.floor(size / group)
  const count = Math.max(1, Math.min(Math.floor(most / group), groups))
  return Uint32Array.from(
    { length: count * group },
    (_, i) => Math.floor((Math.floor(i / group) * groups) / count) * group + (i % group),
  )
}

/** What is true of some of the samples, renumbered from 0. */
export const truthOf = (data: Dataset, indices: Uint32Array): Truth => ({
  ...data,
  size: indices.length,
  labels: Int32Array.from(indices, (index) => data.labels[index]!),
  target: (index, into, offset) => data.target(indices[index]!, into, offset),
})
