// Test samples on their way to measuring processes: records in a file that each of them reads by position.
import type { DatasetRecipe } from '../data/dataset.ts'
import { columnBytes, fileWriter, isInFiles, openStore } from '../data/store.ts'

/** The same data set over records in a file; those that lie in memory are written to `path`, the chosen ones alone. */
export function inFile(recipe: DatasetRecipe, path: string): DatasetRecipe {
  const { store, indices } = recipe
  if (isInFiles(store)) return recipe
  const read = openStore(store)
  const writer = fileWriter(store, path)
  try {
    for (const index of indices) {
      for (const column of store.columns) {
        const bytes = read(index, column)
        writer.record.set(bytes.subarray(0, columnBytes(column)), column.offset)
      }
      writer.next()
    }
    return { ...recipe, store: writer.finish(), indices: Uint32Array.from(indices.keys()) }
  } catch (thrown) {
    writer.abandon()
    throw thrown
  }
}
