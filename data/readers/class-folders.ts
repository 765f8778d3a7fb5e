// Files in a folder a class, as torchvision's ImageFolder has them: `train/<class>/…`, `test/<class>/…`, or the classes alone.
import { basename, join } from 'node:path'
import { UserError } from '../../base/errors.ts'
import type { Part, Row, Table } from '../table.ts'
import { isFolder } from './files.ts'
import { type FileKind, filesUnder, listKind, othersText, partFolders } from './folder-files.ts'
import type { Place, ReaderContext } from './reader.ts'

/**
 * A table of the column of files and the column `label` with the name of the class's folder; the classes are those of
 * the training part, sorted by name. Without `withLabels`, files alone, however deep they lie.
 *
 * Folders are listed one at a time and again each time the rows are read. Hidden files and those of other kinds are
 * left out, the latter with a count.
 */
export async function openClassFolders(
  place: Place,
  kind: FileKind,
  column: string,
  withLabels: boolean,
  { log }: ReaderContext,
): Promise<Table> {
  const { train, validation, test } = await partFolders(place, kind)
  const classes = withLabels ? await classesIn(train, kind) : undefined
  const part = async (path: string) => await openPart(path, kind, classes, log)
  return {
    columns: [
      { name: column, type: 'file' },
      ...(classes ? ([{ name: 'label', type: 'text' }] as const) : []),
    ],
    train: await part(train),
    ...(validation === undefined ? {} : { validation: await part(validation) }),
    ...(test === undefined ? {} : { test: await part(test) }),
    ...(classes && { label: 'label', classes }),
  }
}

async function classesIn(path: string, kind: FileKind): Promise<readonly string[]> {
  const { folders, files } = await listKind(path, path, kind)
  if (folders.length > 0) return folders
  if (files.length > 0)
    throw new UserError(
      `${path}: ${kind.noun} without folders of classes: ${files.length} files — put them into a folder a class, or say 'labels: none'`,
    )
  throw new UserError(
    `${path}: holds no ${kind.noun}: the folder is empty — put a folder a class there`,
  )
}

async function openPart(
  path: string,
  kind: FileKind,
  classes: readonly string[] | undefined,
  log: (line: string) => void,
): Promise<Part> {
  const { noun, endings } = kind
  if (!(await isFolder(path))) throw new UserError(`${path}: not a folder — name one of ${noun}`)
  const tops = classes ? await classFoldersIn(path, kind, classes, log) : [path]
  const others = new Map<string, number>()
  const empty: string[] = []
  let size = 0
  for (const top of tops) {
    const before = size
    for await (const _ of filesUnder(path, top, kind, others)) size++
    if (size === before) empty.push(top)
  }
  if (size === 0)
    throw new UserError(
      `${path}: holds no ${noun}: ${othersText(others, kind)} — put ${[...endings].join(', ')} files there`,
    )
  if (empty.length > 0) log(`${path}: folders without ${noun}: ${listText(empty)}`)
  const absent = classes?.filter((name) => !tops.includes(join(path, name))) ?? []
  if (absent.length > 0)
    log(`${path}: no folder for classes of the training part: ${listText(absent)}`)
  if (others.size > 0) log(`${path}: ignored: ${othersText(others, kind)}`)
  return {
    where: path,
    size,
    async *rows(): AsyncGenerator<Row> {
      for (const top of tops) {
        const label = classes && basename(top)
        for await (const file of filesUnder(path, top, kind))
          yield label === undefined ? [{ path: file }] : [{ path: file }, label]
      }
    },
  }
}

async function classFoldersIn(
  path: string,
  kind: FileKind,
  classes: readonly string[],
  log: (line: string) => void,
): Promise<string[]> {
  const { folders, files } = await listKind(path, path, kind)
  if (files.length > 0)
    log(`${path}: ignored: ${files.length} ${kind.noun} outside the folders of classes`)
  const stranger = folders.find((name) => !classes.includes(name))
  if (stranger !== undefined)
    throw new UserError(
      `${join(path, stranger)}: no class of the training part: '${stranger}' — remove the folder, or add one of that name to the training part`,
    )
  return folders.map((name) => join(path, name))
}

/** The first few of a list of names, and how many more there are. */
function listText(names: readonly string[]): string {
  return names.length > 5
    ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`
    : names.join(', ')
}
