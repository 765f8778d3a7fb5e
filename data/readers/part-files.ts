// Which files of a folder are the training, the validation and the test part.
import { join } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { fileSizeBytes, isFolder, listFolder } from './files.ts'
import type { Place } from './reader.ts'

/** The files of each part, at least one, in the order of their names. */
export interface PartFiles {
  readonly train: readonly string[]
  readonly validation?: readonly string[]
  readonly test?: readonly string[]
}

/** A part of a data set. */
export type PartName = keyof PartFiles

/** What people call the parts. */
export const partNames: ReadonlyMap<string, PartName> = new Map<string, PartName>([
  ['train', 'train'],
  ['training', 'train'],
  ['validation', 'validation'],
  ['valid', 'validation'],
  ['val', 'validation'],
  ['dev', 'validation'],
  ['test', 'test'],
  ['testing', 'test'],
])

// `train`, or one of several files as the Hugging Face Hub names them: `train-00000-of-00002`.
const stemPattern = /^([a-z]+)(?:-\d{1,9}-of-\d{1,9})?$/i

/**
 * Finds the files of the parts.
 *
 * A place that is a file is the training part. In a folder (or its folder `data`, as on the Hugging
 * Face Hub) the names tell: `train.csv`, `test-00000-of-00002.csv`; the only file with such an
 * ending is the training part whatever its name. `testPath` goes before a test file of the folder.
 * Endings are tried in their order: of `train.csv` and `train.csv.gz` the first is read.
 */
export async function findPartFiles(place: Place, endings: readonly string[]): Promise<PartFiles> {
  const found = await partsAt(place.path, endings)
  const train = found.get('train')
  if (train === undefined)
    throw new UserError(
      `${place.path}: no training part: no file 'train${endings[0]}' — name the file itself, or call it so`,
    )
  const validation = found.get('validation')
  const test =
    place.testPath === undefined ? found.get('test') : await testAt(place.testPath, endings)
  return { train, ...(validation && { validation }), ...(test && { test }) }
}

async function testAt(path: string, endings: readonly string[]): Promise<string[]> {
  const found = await partsAt(path, endings)
  // A file given by its own path has no other part's name to go by.
  const files = found.get('test') ?? ((await isFolder(path)) ? undefined : found.get('train'))
  if (files === undefined)
    throw new UserError(
      `${path}: no test part: no file 'test${endings[0]}' — name the file itself, or call it so`,
    )
  return files
}

async function partsAt(
  path: string,
  endings: readonly string[],
): Promise<ReadonlyMap<PartName, string[]>> {
  if (!(await isFolder(path))) {
    await fileSizeBytes(path)
    return new Map([['train', [path]]])
  }
  const found = await partsIn(path, endings)
  if (found.size > 0) return found
  const below = join(path, 'data')
  if (await isFolder(below)) return await partsIn(below, endings)
  return found
}

async function partsIn(
  folder: string,
  endings: readonly string[],
): Promise<ReadonlyMap<PartName, string[]>> {
  const names = await listFolder(folder)
  const byStem = new Map<string, string>()
  for (const ending of endings)
    for (const name of names) {
      const stem = name.slice(0, -ending.length)
      if (name.endsWith(ending) && stem !== '' && !byStem.has(stem)) byStem.set(stem, name)
    }
  const parts = new Map<PartName, string[]>()
  for (const [stem, name] of [...byStem].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const word = stemPattern.exec(stem)?.[1]?.toLowerCase()
    const part = word === undefined ? undefined : partNames.get(word)
    if (part !== undefined) parts.set(part, [...(parts.get(part) ?? []), join(folder, name)])
  }
  const only = byStem.size === 1 ? [...byStem.values()][0] : undefined
  if (parts.size === 0 && only !== undefined) parts.set('train', [join(folder, only)])
  return parts
}
