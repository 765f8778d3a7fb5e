// What an archive holds, one entry after the other: tar, tar in gzip, zip.
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { crc32, createGunzip } from 'node:zlib'
import { extract as tarReader } from 'tar-stream'
import { openPromise, type Entry as ZipEntry, type ZipFile } from 'yauzl'
import { UserError } from '../base/errors.ts'
import { explainFileError } from '../base/files.ts'

/** One entry of an archive; nothing of it was checked. */
export interface ArchiveEntry {
  readonly name: string
  /** `file`, `folder`, or what else it is, which is not extracted. */
  readonly kind: string
  /** Bytes of its content, as the archive announces them. */
  readonly sizeBytes: number
  /** The content; it must be read before the next entry is asked for. */
  readonly content: AsyncIterable<Uint8Array>
}

const headBytes = 512
const tarMagicAt = 257

/**
 * The entries of a tar, tar.gz or zip file, told apart by their first bytes.
 *
 * Anything else is a {@link UserError}; damage inside is an error of the library that reads it.
 */
export async function* archiveEntries(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ArchiveEntry> {
  const head = await readHead(path)
  if (head.subarray(0, 4).equals(Buffer.from('PK\x03\x04'))) yield* zipEntries(path)
  else if (head.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b])))
    yield* tarEntries(path, true, signal)
  else if (head.subarray(tarMagicAt, tarMagicAt + 5).equals(Buffer.from('ustar')))
    yield* tarEntries(path, false, signal)
  else
    throw new UserError(
      `${path}: not a tar, tar.gz or zip file — fetch it again, or extract it by other means`,
    )
}

async function readHead(path: string): Promise<Buffer> {
  try {
    const file = await open(path)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

async function* tarEntries(
  path: string,
  isPacked: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<ArchiveEntry> {
  const reader = tarReader()
  // A stream of Node's own between: how tar-stream's ends is not what pipelines expect.
  const bytes = new PassThrough()
  const options = signal ? { signal } : {}
  const source = createReadStream(path)
  const feeding = (
    isPacked ? pipeline(source, createGunzip(), bytes, options) : pipeline(source, bytes, options)
  ).catch((thrown: Error) => {
    reader.destroy(thrown)
    throw thrown
  })
  // Its rejection is seen when it is awaited, or shows in the reader.
  feeding.catch(() => undefined)
  bytes.pipe(reader)
  try {
    for await (const entry of reader) {
      const { name, type, size = 0 } = entry.header
      yield { name, kind: tarKind(type, name), sizeBytes: size, content: piecesOf(entry) }
      // What was not read is skipped.
      entry.resume()
    }
    await feeding
  } finally {
    source.destroy()
    bytes.destroy()
    reader.destroy()
  }
}

/** The types of tar-stream's own streams do not say what they give. */
const piecesOf = (entry: AsyncIterable<unknown>) => entry as AsyncIterable<Uint8Array>

function tarKind(type: string | null | undefined, name: string): string {
  if (type === 'directory') return 'folder'
  // Before POSIX a folder was a file whose name ends in a slash.
  if (type === 'file' || type === 'contiguous-file') return name.endsWith('/') ? 'folder' : 'file'
  return type ?? 'entry of an unknown type'
}

async function* zipEntries(path: string): AsyncGenerator<ArchiveEntry> {
  const zip = await openPromise(path, { autoClose: false })
  try {
    for await (const entry of zip.eachEntry())
      yield {
        name: entry.fileName,
        kind: zipKind(entry),
        sizeBytes: entry.uncompressedSize,
        content: zipContent(zip, entry),
      }
  } finally {
    zip.close()
  }
}

// As stat(2) has them.
const unixTypes = new Map([
  [0x1000, 'fifo'],
  [0x2000, 'character-device'],
  [0x6000, 'block-device'],
  [0xa000, 'symlink'],
  [0xc000, 'socket'],
])

function zipKind(entry: ZipEntry): string {
  if (entry.isEncrypted()) return 'encrypted file'
  const special = unixTypes.get((entry.externalFileAttributes >>> 16) & 0xf000)
  return special ?? (entry.fileName.endsWith('/') ? 'folder' : 'file')
}

async function* zipContent(zip: ZipFile, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  const stream = await zip.openReadStreamPromise(entry)
  let sum = 0
  for await (const piece of stream as AsyncIterable<Buffer>) {
    sum = crc32(piece, sum)
    yield piece
  }
  if (sum !== entry.crc32) throw new Error(`the checksum of '${entry.fileName}' is wrong`)
}
