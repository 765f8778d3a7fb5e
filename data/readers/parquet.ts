// Apache Parquet, row group by row group.
import {
  type DecodedArray,
  type FileMetaData,
  type ParquetParsers,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
} from 'hyparquet'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Part, Row } from '../table.ts'
import { explainParquetError, limitedCompressors, openBuffer } from './parquet-bytes.ts'
import { labelOf } from './parquet-classes.ts'
import { cellOf, columnTypeOf, kindOf, type ParquetKind, textOf } from './parquet-columns.ts'
import { findPartFiles } from './part-files.ts'
import { defineReader } from './reader.ts'

// A row group is decoded as a whole, column by column.
const maximumGroupBytes = 2 ** 31

/**
 * A file, or a folder with `train.parquet` or `train-00000-of-00002.parquet` … and the like for
 * `validation` and `test`, perhaps in a folder `data`, as on the Hugging Face Hub.
 *
 * Numbers, booleans (1 and 0) and decimals become numbers, dates days and timestamps seconds since
 * 1970, text and UUIDs texts, binary and the Hub's `{ bytes, path }` bytes, lists lists, and lists
 * of equally long lists of numbers tensors. Columns of other types are left out, and it is said.
 * Names of classes are taken from the Hub's own metadata.
 */
export const parquet = defineReader({
  summary: 'Parquet: NAME.parquet, or a folder with train-*.parquet and test-*.parquet',
  options: z.strictObject({}),
  async open(place, _options, { log }) {
    const files = await findPartFiles(place, ['.parquet'])
    const first = await inspect(files.train[0]!)
    if (first.leftOut.length > 0)
      log(`${first.path}: columns of types that cannot be read are left out: ${first.leftOut}`)
    const part = (paths: readonly string[]) => partOf(paths, first.columns)
    return {
      columns: [...first.columns].map(([name, kind]) => ({ name, type: columnTypeOf(kind) })),
      train: await part(files.train),
      ...(files.validation && { validation: await part(files.validation) }),
      ...(files.test && { test: await part(files.test) }),
      ...labelOf(first.metadata, (name) => first.columns.get(name) === 'number'),
    }
  },
})

interface ParquetFile {
  readonly path: string
  readonly metadata: FileMetaData
  readonly rows: number
  readonly columns: ReadonlyMap<string, ParquetKind>
  readonly leftOut: readonly string[]
}

async function inspect(path: string): Promise<ParquetFile> {
  const { buffer, close } = await openBuffer(path)
  try {
    const metadata = await parquetMetadataAsync(buffer, { geoparquet: false })
    const columns = new Map<string, ParquetKind>()
    const leftOut: string[] = []
    for (const tree of parquetSchema(metadata).children) {
      const kind = kindOf(tree)
      const { name } = tree.element
      if (columns.has(name) || leftOut.includes(name))
        throw new UserError(`${path}: two columns have the name '${name}' — rename one`)
      if (kind === undefined) leftOut.push(name)
      else columns.set(name, kind)
    }
    if (columns.size === 0)
      throw new UserError(`${path}: no column of numbers, text or bytes — check the file`)
    for (const group of metadata.row_groups)
      if (group.total_byte_size > maximumGroupBytes)
        throw new UserError(
          `${path}: a row group has ${group.total_byte_size} bytes, more than ${maximumGroupBytes} — write smaller row groups`,
        )
    const rows = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0)
    if (rows !== Number(metadata.num_rows))
      throw new UserError(
        `${path}: announces ${metadata.num_rows} rows but its row groups have ${rows} — fetch the file again`,
      )
    return { path, metadata, rows, columns, leftOut }
  } catch (thrown) {
    throw explainParquetError(path, thrown)
  } finally {
    await close()
  }
}

async function partOf(
  paths: readonly string[],
  columns: ReadonlyMap<string, ParquetKind>,
): Promise<Part> {
  const files: ParquetFile[] = []
  for (const path of paths) {
    const file = await inspect(path)
    for (const [name, kind] of columns) {
      const found = file.columns.get(name)
      if (JSON.stringify(found) !== JSON.stringify(kind))
        throw new UserError(
          `${path}: column '${name}' is ${found === undefined ? 'not there' : 'of another type'} than in the training part — write all files with one schema`,
        )
    }
    files.push(file)
  }
  const size = files.reduce((sum, { rows }) => sum + rows, 0)
  if (size === 0) throw new UserError(`${paths[0]}: holds no rows — check the file`)
  return {
    where: paths.length === 1 ? paths[0]! : `${paths[0]} and ${paths.length - 1} more`,
    whereOf(row) {
      let first = 0
      for (const { path, rows } of files) {
        if (row < first + rows) return `${path}: row ${row - first + 1}`
        first += rows
      }
      return `${paths[0]}: row ${row + 1}`
    },
    size,
    async *rows() {
      for (const file of files) yield* rowsOf(file, columns)
    },
  }
}

async function* rowsOf(
  { path, metadata, rows }: ParquetFile,
  columns: ReadonlyMap<string, ParquetKind>,
): AsyncGenerator<Row> {
  const { buffer, close } = await openBuffer(path)
  try {
    const scan = await parquetScan({
      file: buffer,
      metadata,
      columns: [...columns.keys()],
      compressors: limitedCompressors,
      parsers,
      utf8: false,
      geoparquet: false,
      useOffsetIndex: false,
    })
    let done = 0
    for (const { rowStart, rowEnd } of scan.ranges) {
      const read: [name: string, kind: ParquetKind, data: DecodedArray][] = []
      for (const [name, kind] of columns) {
        const data = await scan.readColumn({ column: name, rowStart, rowEnd })
        if (data.length !== rowEnd - rowStart)
          throw new UserError(
            `${path}: column '${name}' has ${data.length} values for ${rowEnd - rowStart} rows — fetch the file again`,
          )
        read.push([name, kind, data])
      }
      for (let row = 0; row < rowEnd - rowStart; row++) {
        done++
        yield read.map(([name, kind, data]) =>
          cellOf(kind, data[row], () => `${path}: row ${rowStart + row + 1}: column '${name}'`),
        )
      }
    }
    if (done !== rows)
      throw new UserError(
        `${path}: ${done} rows where ${rows} were announced — fetch the file again`,
      )
  } catch (thrown) {
    throw explainParquetError(path, thrown)
  } finally {
    await close()
  }
}

const parsers: Partial<ParquetParsers> = {
  dateFromDays: (days) => days,
  timestampFromMilliseconds: (time) => Number(time) / 1e3,
  timestampFromMicroseconds: (time) => Number(time) / 1e6,
  timestampFromNanoseconds: (time) => Number(time) / 1e9,
  stringFromBytes: (bytes) => bytes && textOf(bytes),
  jsonFromBytes: (bytes) => bytes && textOf(bytes),
}
