// Tensors that live in a file beside the model: checked when the model is loaded, read when they are asked for.
import {
  closeSync,
  fstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { isAbsolute, join, sep } from 'node:path'
import { UserError } from '../base/errors.ts'
import { quote } from './invalid.ts'
import type { StringStringEntryProto } from './proto.ts'

/** Where a model came from. */
export interface Origin {
  /** What messages call it. */
  readonly where: string
  /** The folder that external data may be in; undefined where a model has no folder. */
  readonly folder: string | undefined
  /** Files of external data that were checked already, by location. */
  readonly files: Map<string, DataFile>
}

/** A file of external data and what it was like when the model was loaded. */
interface DataFile {
  readonly path: string
  readonly stats: Stats
}

/**
 * Checks a reference to external data and gives the function that reads it.
 *
 * `byteLength` is what the tensor's type and shape need. Locations outside the model's folder, missing files and
 * ranges beyond a file's end are {@link UserError}s without the model's name before them.
 */
export function externalContent(
  entries: readonly StringStringEntryProto[],
  byteLength: number,
  origin: Origin,
): () => Uint8Array {
  const fields = new Map(entries.map(({ key, value }) => [key, value]))
  const location = fields.get('location') ?? ''
  const name = `external data ${quote(location)}`
  const file = origin.files.get(location) ?? findFile(location, name, origin.folder)
  origin.files.set(location, file)
  const offset = readCount(fields.get('offset') ?? '0', `${name}: the offset`)
  const length = readCount(fields.get('length') ?? String(byteLength), `${name}: the length`)
  if (length !== byteLength)
    throw new UserError(
      `${name}: a tensor has ${length} bytes, but its type and shape need ${byteLength} — export the model again`,
    )
  if (offset + length > file.stats.size)
    throw new UserError(
      `${name}: a tensor ends at byte ${offset + length}, but the file has ${file.stats.size} — copy the whole file`,
    )
  return () => readRange(file, offset, length, `${origin.where}: ${name}`)
}

function readCount(text: string, what: string): number {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(count)) return count
  throw new UserError(`${what} is no byte count: ${quote(text)} — export the model again`)
}

function findFile(location: string, name: string, folder: string | undefined): DataFile {
  if (folder === undefined)
    throw new UserError(
      `${name} cannot be read: the model comes from no folder — load it from a file`,
    )
  const outside = new UserError(`${name} lies outside the model's folder`)
  const parts = location.split(/[\\/]/)
  if (isAbsolute(location) || /^[a-z]:/i.test(location) || parts.includes('..')) throw outside
  if (location === '' || location.includes('\0'))
    throw new UserError(`${name} is no file name — export the model again`)
  try {
    const path = realpathSync(join(folder, location))
    const home = realpathSync(folder)
    if (!path.startsWith(home.endsWith(sep) ? home : home + sep)) throw outside
    const stats = statSync(path)
    if (!stats.isFile()) throw new UserError(`${name} is not a file — put the data file there`)
    return { path, stats }
  } catch (thrown) {
    if (thrown instanceof UserError) throw thrown
    throw new UserError(`${name} cannot be read: ${reason(thrown)} — put it beside the model`, {
      cause: thrown,
    })
  }
}

function readRange(file: DataFile, offset: number, length: number, name: string): Uint8Array {
  const bytes = new Uint8Array(length)
  let handle: number | undefined
  try {
    handle = openSync(file.path, 'r')
    // Another file under the same name would be read as weights: nothing else would notice.
    const { ino, dev, size, mtimeMs } = fstatSync(handle)
    const before = file.stats
    if (
      ino !== before.ino ||
      dev !== before.dev ||
      size !== before.size ||
      mtimeMs !== before.mtimeMs
    )
      throw new UserError(`${name} was changed since the model was loaded — load the model again`)
    for (let done = 0; done < length; ) {
      const count = readSync(handle, bytes, done, Math.min(length - done, 2 ** 30), offset + done)
      if (count === 0) throw new UserError(`${name} ended early — load the model again`)
      done += count
    }
    return bytes
  } catch (thrown) {
    if (thrown instanceof UserError) throw thrown
    throw new UserError(`${name} cannot be read: ${reason(thrown)} — load the model again`, {
      cause: thrown,
    })
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

const reason = (thrown: unknown): string => {
  const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown error'
  return code === 'ENOENT' ? 'there is no such file' : code
}
