// Some samples of a data set as a data set of its own.
import type { Dataset } from './dataset.ts'
import { storedDataset } from './stored-dataset.ts'

/**
 * Gives the samples of these indices, in their order; nothing is copied.
 *
 * Samples that belong together must be chosen together.
 */
export function subset({ recipe, size, group }: Dataset, chosen: Uint32Array): Dataset {
  for (const [place, index] of chosen.entries()) {
    const first = chosen[place - (place % group)]!
    if (index >= size || first % group !== 0 || index !== first + (place % group))
      throw new Error(`internal: sample ${index} of ${size} was chosen without its group`)
  }
  if (chosen.length % group !== 0) throw new Error('internal: a part of a group was chosen')
  return storedDataset({
    ...recipe,
    indices: chosen.map((index) => recipe.indices[index]!),
    labels: Int32Array.from(chosen, (index) => recipe.labels[index]!),
  })
}

/** Gives the same samples, of which nothing is known but their content. */
export const withoutLabels = ({ recipe, size }: Dataset): Dataset =>
  storedDataset({ ...recipe, labels: new Int32Array(size).fill(-1) })
