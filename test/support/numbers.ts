// Records of plain numbers, and reading whole columns of a data set.
import { columnMemory } from '../../base/samples.ts'
import type { Dataset } from '../../data/dataset.ts'
import {
  type Layout,
  layOut,
  memoryWriter,
  type Store,
  type StoreWriter,
  viewsOf,
} from '../../data/store.ts'

/** A column with the numbers of every record. */
export interface NumberColumn {
  readonly name: string
  readonly rows: readonly (readonly number[])[]
  readonly dtype?: 'float32' | 'int32' | 'uint8'
  readonly ids?: number
}

/** Makes records of columns of numbers, in memory unless told. */
export function numbersStore(
  columns: readonly NumberColumn[],
  write: (layout: Layout) => StoreWriter = (layout) => memoryWriter(layout, 'm'),
): Store {
  const layout = layOut(
    columns.map(({ name, rows, dtype = 'float32', ids }) => ({
      ...{ name, dtype, shape: [rows[0]!.length] },
      ...(ids !== undefined && { ids }),
    })),
  )
  const writer = write(layout)
  const views = viewsOf(layout, writer.record)
  for (const index of columns[0]!.rows.keys()) {
    for (const [at, { rows }] of columns.entries()) views[at]!.set(rows[index]!)
    writer.next()
  }
  return writer.finish()
}

/** The numbers of a column, sample by sample. */
export function rowsOf(dataset: Dataset, name: string): number[][] {
  const at = dataset.columns.findIndex((column) => column.name === name)
  return Array.from({ length: dataset.size }, (_, index) => {
    const memory = columnMemory(dataset.columns[at]!, 1)
    dataset.read(index, at, memory, 0)
    return [...memory]
  })
}
