// NumPy arrays, one a file, in a folder.
import { basename, join } from 'node:path'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { fortranRows, positionedRows } from './array-rows.ts'
import { type ArraySet, type StoredArray, tableOfArrays } from './arrays.ts'
import { fileSizeBytes, isFolder, listFolder, readHead } from './files.ts'
import { maximumHeaderBytes, readNpyHeader } from './npy-header.ts'
import { type PartName, partNames } from './part-files.ts'
import { defineReader } from './reader.ts'

/**
 * Arrays in `.npy` files with one row a sample: `train/x.npy`, `train/y.npy`, `test/x.npy` …, or all
 * in one folder as `x_train.npy`, `y_train.npy`, `x_test.npy` …; a single file is column and
 * training part. Rows are read by position: an array may be larger than memory.
 */
export const npy = defineReader({
  summary: 'NumPy arrays: a folder with x_train.npy, y_train.npy …, or train/x.npy …',
  options: z.strictObject({}),
  async open(place, _options, { log }) {
    const sets: ArraySet[] = [await arraysAt(place.path)]
    if (place.testPath !== undefined)
      sets.push({ ...(await arraysAt(place.testPath)), part: 'test' })
    return tableOfArrays(sets, log)
  },
})

async function arraysAt(path: string): Promise<ArraySet> {
  if (!(await isFolder(path))) return { where: path, arrays: [await npyArray(path, stemOf(path))] }
  const arrays: StoredArray[] = []
  for (const name of await listFolder(path)) {
    const below = join(path, name)
    if (name.endsWith('.npy')) arrays.push(await npyArray(below, stemOf(name)))
    else if (partOf(name) !== undefined && (await isFolder(below)))
      for (const inner of await listFolder(below))
        if (inner.endsWith('.npy'))
          arrays.push(await npyArray(join(below, inner), `${name}/${stemOf(inner)}`))
  }
  if (arrays.length === 0)
    throw new UserError(`${path}: no file '….npy' — put x_train.npy and y_train.npy there`)
  return { where: path, arrays }
}

const stemOf = (path: string) => basename(path, '.npy')

const partOf = (name: string): PartName | undefined => partNames.get(name.toLowerCase())

/** An array in a file of its own; its header must agree with the size of the file. */
async function npyArray(path: string, name: string): Promise<StoredArray> {
  const header = readNpyHeader(path, await readHead(path, maximumHeaderBytes))
  const sizeBytes = await fileSizeBytes(path)
  const expectedBytes = header.dataStart + header.dataBytes
  if (sizeBytes !== expectedBytes)
    throw new UserError(
      `${path}: ${sizeBytes} bytes where shape [${header.shape}] needs ${expectedBytes} — fetch the file again`,
    )
  const array = { name, where: path, ...header }
  const isFortran = header.fortranOrder && header.shape.length > 1
  const rows = isFortran ? fortranRows : positionedRows
  return { ...array, open: () => rows(path, header.dataStart, array) }
}
