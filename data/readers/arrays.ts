// Arrays that lie in files by name, as npy, npz and safetensors keep them, seen as a table.
import { UserError } from '../../base/errors.ts'
import { lengthOf } from '../../base/samples.ts'
import type { Cell, ColumnType, Part, Row, Table, TableColumn } from '../table.ts'
import { decode, type ElementType, elementTypes } from './element-types.ts'
import { isFolder } from './files.ts'
import { findPartFiles, type PartName, partNames } from './part-files.ts'
import type { Place } from './reader.ts'

/** Goes through the rows of an array from the first on. */
export interface ArrayRows {
  /** The bytes of the next rows, row-major, in memory of their own. */
  next(rows: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** An array in a file; its header is read and checked. */
export interface StoredArray {
  readonly name: string
  /** File and array, for messages. */
  readonly where: string
  readonly type: ElementType
  readonly littleEndian: boolean
  /** The first axis counts the rows. */
  readonly shape: readonly number[]
  open(): Promise<ArrayRows>
}

/** The arrays of a file or folder, and the part that it is by its own name. */
export interface ArraySet {
  readonly where: string
  readonly arrays: readonly StoredArray[]
  /** All arrays belong to it; undefined where their names tell. */
  readonly part?: PartName | undefined
}

// So many bytes of each array are read at once; a row may be larger, but not beyond the second figure.
const blockBytes = 1 << 20
const maximumRowBytes = 1 << 28

/** How many elements a shape has; too many to count are a `UserError`. */
export function elementCount(where: string, shape: readonly number[]): number {
  const count = lengthOf(shape)
  if (!Number.isSafeInteger(count))
    throw new UserError(`${where}: impossible shape [${shape}] — fetch the file again`)
  return count
}

/** Bytes of one row. */
export function rowBytes({
  where,
  shape,
  type,
}: Pick<StoredArray, 'where' | 'shape' | 'type'>): number {
  return elementCount(where, shape.slice(1)) * elementTypes[type].bytes
}

/**
 * The parts and columns that arrays make.
 *
 * The name of an array tells part and column: `x_train`, `train_x`, `train/x` and `train.x` are
 * column `x` of the training part; `test`, `val`, `valid`, `validation` and `dev` work alike. Where
 * no name tells a part, all are columns of the training part; where some do, the others are left
 * out, which `log` is told. A set with a `part` of its own needs no such names.
 */
export function tableOfArrays(sets: readonly ArraySet[], log: (line: string) => void): Table {
  const parts = new Map<PartName, Map<string, StoredArray>>()
  for (const set of sets) {
    const named = set.arrays.map((array) => ({ array, ...splitName(array.name) }))
    const isSplit = named.some(({ part }) => part !== undefined)
    for (const { array, part, column } of named) {
      const belongs = set.part === undefined ? (isSplit ? part : 'train') : (part ?? set.part)
      // A test part that the recipe names goes before one inside the training part's file.
      if (set.part === undefined && sets.some((other) => belongs && other.part === belongs))
        continue
      if (belongs === undefined || (set.part !== undefined && belongs !== set.part)) {
        log(`${array.where}: left out, for its name says no part as others do`)
        continue
      }
      if (array.shape.length === 0)
        throw new UserError(
          `${array.where}: a single number — save an array with a row for each sample`,
        )
      const columns = parts.get(belongs) ?? new Map<string, StoredArray>()
      if (columns.has(column))
        throw new UserError(`${array.where}: column '${column}' is there twice — rename one array`)
      parts.set(belongs, columns.set(column, array))
    }
  }
  const where = sets[0]!.where
  const train = parts.get('train')
  if (train === undefined)
    throw new UserError(`${where}: no array of a training part — name arrays x_train, y_train`)
  const columns = [...train].map(([name, array]) => ({ name, type: typeOf(array) }))
  const part = (name: PartName) => partOf(parts.get(name)!, train, columns)
  return {
    columns,
    train: part('train'),
    ...(parts.has('validation') && { validation: part('validation') }),
    ...(parts.has('test') && { test: part('test') }),
  }
}

/** The arrays of a place that is one file with all parts, or a folder with a file for each. */
export async function arraySets(
  place: Place,
  ending: string,
  arraysOf: (path: string) => Promise<StoredArray[]>,
): Promise<ArraySet[]> {
  const files = await findPartFiles(place, [ending])
  const isOneFile = !(await isFolder(place.path)) || (!files.test && !files.validation)
  const sets: ArraySet[] = []
  for (const part of ['train', 'validation', 'test'] as const)
    for (const path of files[part] ?? []) {
      const own = part === 'train' && isOneFile ? undefined : part
      sets.push({ where: path, arrays: await arraysOf(path), part: own })
    }
  return sets
}

function splitName(name: string): { part?: PartName | undefined; column: string } {
  const words = /^([a-z]+)[._/](.+)$/i.exec(name)
  const first = partNames.get(words?.[1]?.toLowerCase() ?? '')
  if (first !== undefined) return { part: first, column: words![2]! }
  const ending = /^(.+)[._/]([a-z]+)$/i.exec(name)
  const last = partNames.get(ending?.[2]?.toLowerCase() ?? '')
  if (last !== undefined) return { part: last, column: ending![1]! }
  return { column: name }
}

// A column of labels is often saved as [N, 1].
const isColumnOfNumbers = ({ shape }: StoredArray) =>
  shape.length === 1 || (shape.length === 2 && shape[1] === 1)

const typeOf = (array: StoredArray): ColumnType => (isColumnOfNumbers(array) ? 'number' : 'tensor')

function partOf(
  arrays: ReadonlyMap<string, StoredArray>,
  train: ReadonlyMap<string, StoredArray>,
  columns: readonly TableColumn[],
): Part {
  const inOrder = columns.map(({ name }) => {
    const array = arrays.get(name)
    const other = train.get(name)!
    if (array === undefined)
      throw new UserError(
        `${other.where}: another part has no array '${name}' — save the same arrays for each`,
      )
    if (String(array.shape.slice(1)) !== String(other.shape.slice(1)))
      throw new UserError(
        `${array.where}: shape [${array.shape}] but [${other.shape}] in the training part — save rows of one shape`,
      )
    if (rowBytes(array) === 0)
      throw new UserError(
        `${array.where}: rows hold nothing: shape [${array.shape}] — save rows of numbers`,
      )
    if (rowBytes(array) > maximumRowBytes)
      throw new UserError(
        `${array.where}: a row has ${rowBytes(array)} bytes, more than ${maximumRowBytes} — put the samples on the first axis`,
      )
    return array
  })
  const [first] = inOrder
  const size = first!.shape[0]!
  if (size === 0) throw new UserError(`${first!.where}: holds no rows — check the file`)
  for (const { where, shape } of inOrder)
    if (shape[0] !== size)
      throw new UserError(
        `${where}: ${shape[0]} rows but ${size} in ${first!.where} — save one row a sample in each`,
      )
  const place = first!.where
  return {
    where: place,
    whereOf: (row) => `${place}: row ${row + 1}`,
    size,
    rows: () => rowsOf(inOrder, size),
  }
}

async function* rowsOf(arrays: readonly StoredArray[], size: number): AsyncGenerator<Row> {
  const largest = arrays.reduce((bytes, array) => Math.max(bytes, rowBytes(array)), 1)
  const block = Math.max(1, Math.floor(blockBytes / largest))
  const open: ArrayRows[] = []
  try {
    for (const array of arrays) open.push(await array.open())
    for (let start = 0; start < size; start += block) {
      const rows = Math.min(block, size - start)
      const columns: ((row: number) => Cell)[] = []
      for (const [index, array] of arrays.entries())
        columns.push(cellsOf(array, await open[index]!.next(rows), start))
      for (let row = 0; row < rows; row++) yield columns.map((cell) => cell(row))
    }
  } finally {
    for (const rows of open) await rows.close()
  }
}

function cellsOf(array: StoredArray, bytes: Uint8Array, firstRow: number): (row: number) => Cell {
  const { where, type, littleEndian, shape } = array
  if (isColumnOfNumbers(array)) {
    const { bytes: size, read } = elementTypes[type]
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return (row) => {
      const value = read(view, row * size, littleEndian)
      if (Number.isNaN(value)) return null
      const isInteger = !type.includes('float')
      if (!Number.isFinite(value) || (isInteger && !Number.isSafeInteger(value)))
        throw new UserError(
          `${where}: row ${firstRow + row + 1}: ${isInteger ? 'beyond what a double holds exactly' : 'not a finite number'}: ${value} — mend the data`,
        )
      return value
    }
  }
  const sample = shape.slice(1)
  const length = elementCount(where, sample)
  const values = decode(bytes, type, littleEndian, (element) => {
    return `${where}: row ${firstRow + Math.floor(element / length) + 1}`
  })
  return (row) => ({ shape: sample, values: values.subarray(row * length, (row + 1) * length) })
}
