// Prepared samples: one record of fixed length each, in memory that threads share or in files, read by position.

import { createHash } from 'node:crypto'
import { closeSync, fsyncSync } from 'node:fs'
import { append, fillFrom, openOrExplain } from '../base/bytes.ts'
import { UserError } from '../base/errors.ts'
import { hashOf } from '../base/hash.ts'
import { lengthOf } from '../base/samples.ts'
import type { StoredType } from './features/feature.ts'

/** The type of the numbers of a record: those of samples, and float16 for what a teacher said of them. */
export type RecordType = StoredType | 'float16'

/** A tensor of every record. */
export interface StoredColumn<Type extends RecordType = StoredType> {
  readonly name: string
  readonly dtype: Type
  readonly shape: readonly number[]
  readonly ids?: number
  /** Where it begins in the record, bytes; a multiple of four. */
  readonly offset: number
}

/** Records of one layout; can be posted to a thread, and to a process where they are in a file. */
export interface Store<Type extends RecordType = StoredType> {
  readonly columns: readonly StoredColumn<Type>[]
  /** Bytes of a record, a multiple of four. */
  readonly recordBytes: number
  readonly size: number
  /** SHA-256 of all records, or of the hashes of the parts. */
  readonly hash: string
  readonly place:
    | { readonly memory: Uint8Array }
    | { readonly path: string }
    /** One store after the other; each has the columns under their names, laid out in its own way. */
    | { readonly parts: readonly Store[] }
}

const bytesEach = {
  ...{ uint8: 1, float16: 2, float32: 4, int32: 4 },
} as const satisfies Record<RecordType, number>

/** Bytes of a column of one sample. */
export const columnBytes = ({
  dtype,
  shape,
}: Pick<StoredColumn<RecordType>, 'dtype' | 'shape'>): number => bytesEach[dtype] * lengthOf(shape)

/** Lays columns side by side. */
export function layOut<Type extends RecordType>(
  columns: readonly Omit<StoredColumn<Type>, 'offset'>[],
): Layout<Type> {
  let offset = 0
  const placed = columns.map((column) => {
    const at = offset
    offset += Math.ceil(columnBytes(column) / 4) * 4
    return { ...column, offset: at }
  })
  return { columns: placed, recordBytes: offset }
}

/** Views of the columns of one record of samples in memory. */
export function viewsOf(
  { columns }: Pick<Store, 'columns'>,
  record: Uint8Array,
): (Uint8Array | Float32Array | Int32Array)[] {
  return columns.map(({ dtype, shape, offset }) => {
    const length = lengthOf(shape)
    const start = record.byteOffset + offset
    if (dtype === 'uint8') return new Uint8Array(record.buffer, start, length)
    if (dtype === 'int32') return new Int32Array(record.buffer, start, length)
    return new Float32Array(record.buffer, start, length)
  })
}

/** Takes records one after the other. */
export interface StoreWriter<Type extends RecordType = StoredType> {
  /** The memory of the next record, all zeros; it is taken over by {@link next}. */
  readonly record: Uint8Array
  next(): void
  /** Ends the store. */
  finish(): Store<Type>
  /** Gives up; nothing of use is left. */
  abandon(): void
}

/** How records are laid out. */
export type Layout<Type extends RecordType = StoredType> = Pick<
  Store<Type>,
  'columns' | 'recordBytes'
>

/** Collects records in memory that threads share. */
export function memoryWriter(layout: Layout, where: string, expected = 1024): StoreWriter {
  const { recordBytes } = layout
  const hash = createHash('sha256')
  let memory = allocate(where, Math.max(1, expected) * recordBytes)
  let size = 0
  const record = new Uint8Array(recordBytes)
  return {
    record,
    next() {
      if ((size + 1) * recordBytes > memory.length) {
        const larger = allocate(where, memory.length * 2)
        larger.set(memory)
        memory = larger
      }
      memory.set(record, size++ * recordBytes)
      hash.update(record)
      record.fill(0)
    },
    finish: () => ({
      ...layout,
      size,
      hash: hash.digest('hex'),
      place: { memory: memory.subarray(0, size * recordBytes) },
    }),
    abandon: () => undefined,
  }
}

const pieceBytes = 1 << 20

/** Writes records to a new file, which is whole once it is finished. */
export function fileWriter<Type extends RecordType>(
  layout: Layout<Type>,
  path: string,
): StoreWriter<Type> {
  const { recordBytes } = layout
  const perPiece = Math.max(1, Math.floor(pieceBytes / Math.max(1, recordBytes)))
  const piece = new Uint8Array(perPiece * recordBytes)
  const hash = createHash('sha256')
  const file = openOrExplain(path, 'w')
  const record = new Uint8Array(recordBytes)
  let waiting = 0
  let size = 0
  let isOpen = true
  const close = () => {
    if (isOpen) closeSync(file)
    isOpen = false
  }
  const flush = () => {
    const bytes = piece.subarray(0, waiting * recordBytes)
    hash.update(bytes)
    append(file, path, bytes)
    waiting = 0
  }
  return {
    record,
    next() {
      piece.set(record, waiting++ * recordBytes)
      size++
      record.fill(0)
      if (waiting === perPiece) flush()
    },
    finish() {
      flush()
      fsyncSync(file)
      close()
      return { ...layout, size, hash: hash.digest('hex'), place: { path } }
    },
    abandon: close,
  }
}

/** The bytes of a column of a record, valid until the next call. */
export type RecordReader = (index: number, column: StoredColumn<RecordType>) => Uint8Array

/** Closes the files of readers that nobody has any more. */
const unread = new FinalizationRegistry<number>((file) => closeSync(file))

/** Opens a store for reading; its file is closed when nobody has the reader any more. */
export function openStore({ place, recordBytes }: Store<RecordType>): RecordReader {
  if ('parts' in place) return openParts(place.parts)
  if ('memory' in place) {
    const { memory } = place
    return (index, column) => {
      const start = index * recordBytes + column.offset
      return memory.subarray(start, start + columnBytes(column))
    }
  }
  const { path } = place
  // Opened with the first record.
  let file: number | undefined
  let scratch = new Uint8Array()
  const read: RecordReader = (index, column) => {
    const length = columnBytes(column)
    if (file === undefined) {
      file = openOrExplain(path, 'r')
      unread.register(read, file)
    }
    // Aligned for every type, and never seen by two columns at once.
    if (scratch.length < length) scratch = new Uint8Array(length)
    const start = index * recordBytes + column.offset
    fillFrom(file, path, start, scratch.subarray(0, length))
    return scratch.subarray(0, length)
  }
  return read
}

/** Puts records of one store behind those of another; columns that they lack are zeros. */
export const joinStores = (first: Store, second: Store): Store => ({
  columns: first.columns,
  recordBytes: first.recordBytes,
  size: first.size + second.size,
  hash: hashOf([first.hash, second.hash, second.columns]),
  place: { parts: [first, second] },
})

/** True where another process can read the records. */
export const isInFiles = ({ place }: Store): boolean =>
  'parts' in place ? place.parts.every(isInFiles) : 'path' in place

function openParts(parts: readonly Store[]): RecordReader {
  const opened = parts.map((store) => ({
    size: store.size,
    read: openStore(store),
    columns: new Map(store.columns.map((column) => [column.name, column])),
  }))
  return (index, column) => {
    let record = index
    for (const { size, read, columns } of opened) {
      if (record < size) {
        const own = columns.get(column.name)
        return own ? read(record, own) : new Uint8Array(columnBytes(column))
      }
      record -= size
    }
    throw new Error(`internal: record ${index} is beyond the end`)
  }
}

function allocate(where: string, bytes: number): Uint8Array {
  try {
    return new Uint8Array(new SharedArrayBuffer(bytes))
  } catch (thrown) {
    throw new UserError(
      `${where}: does not fit in memory: ${bytes} bytes — use fewer or smaller samples`,
      { cause: thrown },
    )
  }
}
