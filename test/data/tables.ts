// Small tables in memory, and their way to records.
import { z } from 'zod'
import { type FeatureOptions, featureOptions } from '../../data/features/index.ts'
import { prepareTable } from '../../data/prepare.ts'
import type { PreparationOptions, Prepared } from '../../data/prepared.ts'
import { memoryWriter, openStore, viewsOf } from '../../data/store.ts'
import { targetColumn } from '../../data/stored-dataset.ts'
import type { ColumnType, Part, Row, Table } from '../../data/table.ts'

/** A part of rows that lie in memory. */
export const partOf = (where: string, rows: readonly Row[], rest: Partial<Part> = {}): Part => ({
  where,
  rows: () => rows,
  ...rest,
})

/** A table of columns by type, with the parts that are given. */
export function tableOf(
  columns: Readonly<Record<string, ColumnType>>,
  train: readonly Row[] | Part,
  rest: Partial<Table> = {},
): Table {
  return {
    columns: Object.entries(columns).map(([name, type]) => ({ name, type })),
    train: 'rows' in train ? train : partOf('train.csv', train),
    ...rest,
  }
}

/** Options of features with their defaults. */
export const featuresOf = (
  features: Readonly<Record<string, z.input<typeof featureOptions>>>,
): Record<string, FeatureOptions> => z.record(z.string(), featureOptions).parse(features)

/** What is prepared unless a test says otherwise: the column `x` as it is, the class in `label`. */
export const plainOptions: PreparationOptions = {
  seed: 1,
  features: featuresOf({ x: { kind: 'tensor', column: 'x' } }),
  target: { kind: 'class', columns: [], scale: 1 },
  damaged: 'refuse',
  validation: 0.2,
  testShare: 0.2,
  calibration: 512,
}

/** A table's records in memory, and what was logged. */
export async function prepared(table: Table, rest: Partial<PreparationOptions> = {}) {
  const lines: string[] = []
  const found = await prepareTable(
    table,
    { ...plainOptions, ...rest },
    {
      write: (part, layout, size) => memoryWriter(layout, part, size),
      log: (line) => lines.push(line),
    },
  )
  return { ...found, lines }
}

/** The values of a column of the samples of a split, in their order. */
export function columnOf(
  { parts, splits }: Prepared,
  split: keyof Prepared['splits'],
  name: string,
): number[][] {
  const { part, indices } = splits[split]!
  const { store } = parts[part]!
  const read = openStore(store)
  const column = store.columns.find((column) => column.name === name)!
  const [one] = [{ columns: [{ ...column, offset: 0 }] }]
  return Array.from(indices, (index) => [...viewsOf(one!, read(index, column))[0]!])
}

/** The target numbers of the samples of a split. */
export const targetsIn = (found: Prepared, split: keyof Prepared['splits']): number[][] =>
  columnOf(found, split, targetColumn)

/** The labels of the samples of a split. */
export function labelsIn({ parts, splits }: Prepared, split: keyof Prepared['splits']): number[] {
  const { part, indices } = splits[split]!
  return Array.from(indices, (index) => parts[part]!.labels[index]!)
}
