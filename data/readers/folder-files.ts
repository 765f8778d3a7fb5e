// The files of one kind under a folder that is not trusted, listed folder by folder.
import { opendir, realpath, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { leadsOut } from '../inside-folder.ts'
import { explainReadError } from './files.ts'
import { type PartName, partNames } from './part-files.ts'
import type { Place } from './reader.ts'

/** What files are looked for. */
export interface FileKind {
  /** What people call them, as `images`. */
  readonly noun: string
  /** Endings in lower case, with the point. */
  readonly endings: ReadonlySet<string>
}

/** What lies in one folder, sorted by name; hidden entries are left out. */
export interface Listing {
  /** The folder itself, without symbolic links. */
  readonly real: string
  readonly folders: readonly string[]
  readonly files: readonly string[]
}

/**
 * Lists one folder; `above` are the real paths of the folders that led to it.
 *
 * Symbolic links out of the root, and those that lead in a circle, are refused. Files of other kinds are counted by
 * their endings.
 */
export async function listKind(
  root: string,
  folder: string,
  kind: FileKind,
  above: readonly string[] = [],
  others?: Map<string, number>,
): Promise<Listing> {
  try {
    const [real, realRoot] = [await realpath(folder), await realpath(root)]
    if (above.includes(real))
      throw new UserError(`${folder}: symbolic links lead in a circle — remove the link`)
    const folders: string[] = []
    const files: string[] = []
    for await (const entry of await opendir(folder)) {
      const { name } = entry
      if (name.startsWith('.')) continue
      const path = join(folder, name)
      if (entry.isSymbolicLink() && leadsOut(realRoot, await realpath(path)))
        throw new UserError(
          `${path}: a symbolic link leads out of ${root}: to ${await realpath(path)} — put the files themselves there`,
        )
      const found = entry.isSymbolicLink() ? await stat(path) : entry
      const ending = extname(name).toLowerCase()
      if (found.isDirectory()) folders.push(name)
      else if (found.isFile() && kind.endings.has(ending)) files.push(name)
      else others?.set(ending, (others.get(ending) ?? 0) + 1)
    }
    return { real, folders: folders.sort(), files: files.sort() }
  } catch (thrown) {
    throw explainReadError(folder, thrown)
  }
}

/** The files under a folder, however deep: its own by name, then those of its folders. */
export async function* filesUnder(
  root: string,
  folder: string,
  kind: FileKind,
  others?: Map<string, number>,
  above: readonly string[] = [],
): AsyncGenerator<string> {
  const { folders, files, real } = await listKind(root, folder, kind, above, others)
  for (const name of files) yield join(folder, name)
  for (const name of folders)
    yield* filesUnder(root, join(folder, name), kind, others, [...above, real])
}

/** Folders of the parts of a data set. */
export type PartFolders = { readonly train: string } & { readonly [Name in PartName]?: string }

/**
 * Finds the folders of the parts by their names (`train`, `validation`, `test` and what else people call them), and
 * the place's own test part; the folder itself is the training part where it has none of their names.
 */
export async function partFolders(place: Place, kind: FileKind): Promise<PartFolders> {
  const { path, testPath } = place
  const { folders } = await listKind(path, path, kind)
  const parts: { [Name in PartName]?: string } = {}
  for (const name of folders) {
    const part = partNames.get(name)
    if (part === undefined) continue
    if (parts[part] !== undefined)
      throw new UserError(
        `${path}: two folders for one part: ${parts[part]} and ${name} — remove one`,
      )
    parts[part] = join(path, name)
  }
  if (Object.keys(parts).length === 0) parts.train = path
  if (testPath !== undefined) parts.test = testPath
  const { train } = parts
  if (train === undefined)
    throw new UserError(
      `${path}: has no training part: folders ${Object.values(parts).join(', ')} — add a folder 'train'`,
    )
  return { ...parts, train }
}

/** What was left out, for messages: `3 files that are no images (.txt 2, .csv 1)`. */
export function othersText(others: ReadonlyMap<string, number>, { noun }: FileKind): string {
  if (others.size === 0) return 'no files'
  const most = [...others].sort(([a, many], [b, few]) => few - many || (a < b ? -1 : 1))
  const count = most.reduce((sum, [, files]) => sum + files, 0)
  const named = most.slice(0, 4).map(([ending, files]) => `${ending || 'no ending'} ${files}`)
  return `${count} files that are no ${noun} (${named.join(', ')}${most.length > 4 ? ', …' : ''})`
}
