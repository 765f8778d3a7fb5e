// Samples without labels: rows of further files, put into the columns of the data that they are added to.
import { UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { expandTable } from './expand.ts'
import { featureNamed } from './features/index.ts'
import { featureContext } from './learn.ts'
import { openModule } from './module.ts'
import type { PreparationOptions } from './prepared.ts'
import { readerOf } from './readers/index.ts'
import {
  type DataOptions,
  isModule,
  type Located,
  type LocateOptions,
  locate,
  type UnlabelledFiles,
} from './sources.ts'
import type { Cell, ColumnType, Part, Row, Table } from './table.ts'

/** Rows without labels, and where they were found; `located` is undefined for a module. */
export interface UnlabelledTable {
  readonly table: Table
  readonly located: Located | undefined
}

/**
 * Opens the files of samples without labels, whose rows become what those of the data itself become.
 *
 * Files that are the data itself are refused with a {@link UserError}: their test samples would be trained on.
 */
export async function openUnlabelled(
  files: UnlabelledFiles,
  data: DataOptions,
  own: Located | undefined,
  folders: LocateOptions,
): Promise<UnlabelledTable> {
  const { source } = files
  const module = source !== undefined && isModule(source)
  if (module) folders.log(`${source}: the code of this module is run`)
  const located = module
    ? undefined
    : await locate(files, { ...folders, section: 'data.unlabelled' })
  const isSame = located
    ? located.path !== '' && located.path === own?.path
    : source === data.source
  if (isSame)
    throw new UserError(
      `data.unlabelled: is the data itself: ${located?.path ?? source} — name other files, or leave it out`,
    )
  const read = located
    ? await readerOf(located.format).open(
        located,
        located.options as Record<string, unknown>,
        folders,
      )
    : await openModule(source!)
  return { table: await expandTable(read, { pairs: data.pairs }, folders), located }
}

/** Types of columns whose cells each say what they are. */
const contents: ReadonlySet<ColumnType> = new Set(['file', 'bytes', 'tensor'])

/** The table with the training rows of another behind it, each cell in the column of its name. */
export function withUnlabelled(table: Table, other: Table, options: PreparationOptions): Table {
  const context = featureContext(table, options)
  const needed = new Set(
    Object.values(options.features).flatMap((feature) =>
      featureNamed(feature.kind).columns(feature, context),
    ),
  )
  const names = other.columns.map(({ name }) => name)
  const places = table.columns.map(({ name }) => names.indexOf(name))
  const missing = table.columns.find(({ name }, at) => needed.has(name) && places[at]! < 0)
  const { train } = other
  for (const [at, { name, type }] of table.columns.entries()) {
    const found = other.columns[places[at]!]?.type
    if (!needed.has(name) || !found || found === type) continue
    // Images may lie in files here and in an array there.
    if (contents.has(found) && contents.has(type)) continue
    throw new UserError(
      `data.unlabelled: ${train.where}: column '${name}' holds ${found}, that of the data ${type} — mend the files`,
    )
  }
  if (missing)
    throw new UserError(
      `data.unlabelled: ${train.where}: has no column '${missing.name}' — ${suggest(missing.name, names)}`,
    )
  const unlabelled: Part = {
    ...train,
    async *rows() {
      for await (const row of train.rows())
        yield places.map((place): Cell => (place < 0 ? null : row[place]!)) as Row
    },
  }
  const inMemory = table.inMemory === true && other.inMemory === true
  return { ...table, unlabelled, inMemory }
}
