// Reading files that are not trusted: plain or gzip, never more bytes than were announced and
// checked.
import { createReadStream, type Stats } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { constants, createGunzip, gunzipSync } from 'node:zlib'
import { messageOf, UserError } from '../../base/errors.ts'
import { explainFileError } from '../../base/files.ts'

// Deflate cannot shrink anything further than this (zlib's technical notes), so a greater claim
// is false.
const maximumDeflateRatio = 1032
const gzipTrailerBytes = 18
const pieceBytes = 1 << 20
const headBytes = 4096

const isGzip = (path: string) => path.endsWith('.gz')

/** The names in a folder, sorted. */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort()
  } catch (thrown) {
    throw explainReadError(path, thrown)
  }
}

/**
 * Whether the path is a folder; what does not exist is none, what cannot be looked at is a
 * `UserError`.
 */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw explainReadError(path, thrown)
  }
}

/** The size in bytes of a file as it lies on disk; folders, pipes and devices are refused. */
export async function fileSizeBytes(path: string): Promise<number> {
  let found: Stats
  try {
    found = await stat(path)
  } catch (thrown) {
    throw explainReadError(path, thrown)
  }
  if (!found.isFile()) throw new UserError(`${path}: not a regular file — check the path`)
  return found.size
}

/**
 * The first bytes of a file's content, decompressed where its name ends in `.gz`; fewer where it
 * is shorter.
 */
export async function readHead(path: string, bytes: number): Promise<Uint8Array> {
  await fileSizeBytes(path)
  const raw = await readBytes(path, 0, headBytes)
  if (!isGzip(path)) return raw.subarray(0, bytes)
  try {
    // Z_SYNC_FLUSH accepts that the compressed bytes end early.
    return gunzipSync(raw, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, bytes)
  } catch (thrown) {
    throw explainReadError(path, thrown)
  }
}

/**
 * The size in bytes that a file says its content has: its own, or the last field of gzip (RFC
 * 1952).
 */
export async function claimedSizeBytes(path: string): Promise<number> {
  const size = await fileSizeBytes(path)
  if (!isGzip(path)) return size
  if (size < gzipTrailerBytes) throw new UserError(`${path}: ${damagedGzip}: ${size} bytes${again}`)
  const trailer = await readBytes(path, size - 4, 4)
  return new DataView(trailer.buffer, trailer.byteOffset).getUint32(0, true)
}

/**
 * Checks that a file can hold content of so many bytes, without reading it.
 *
 * Call it before memory is set aside on the word of a header.
 */
export async function checkSize(path: string, expectedBytes: number): Promise<void> {
  const size = await fileSizeBytes(path)
  if (isGzip(path)) {
    if (expectedBytes > size * maximumDeflateRatio) throw truncated(path, size, expectedBytes)
  } else {
    if (size < expectedBytes) throw truncated(path, size, expectedBytes)
    if (size > expectedBytes) throw tooLong(path, expectedBytes)
  }
}

/** The whole content of a file, which must be exactly so many bytes once decompressed. */
export async function readWhole(path: string, expectedBytes: number): Promise<Uint8Array> {
  await checkSize(path, expectedBytes)
  const content = allocate(path, expectedBytes)
  let filled = 0
  const collect = async (pieces: AsyncIterable<Uint8Array>) => {
    for await (const piece of pieces) {
      filled += piece.length
      if (filled > expectedBytes) return
      content.set(piece, filled - piece.length)
    }
  }
  try {
    const file = createReadStream(path, { highWaterMark: pieceBytes })
    if (isGzip(path)) await pipeline(file, createGunzip({ chunkSize: pieceBytes }), collect)
    else await pipeline(file, collect)
  } catch (thrown) {
    // Stopping early ends the pipeline with an error of its own.
    throw filled > expectedBytes ? tooLong(path, expectedBytes) : explainReadError(path, thrown)
  }
  if (filled > expectedBytes) throw tooLong(path, expectedBytes)
  if (filled < expectedBytes) throw truncated(path, filled, expectedBytes)
  return content
}

/** Sets memory aside that threads can share; a {@link UserError} names the file when there is not enough. */
export function allocate(path: string, bytes: number): Uint8Array {
  try {
    return new Uint8Array(new SharedArrayBuffer(bytes))
  } catch (thrown) {
    throw new UserError(
      `${path}: does not fit in memory: ${bytes} bytes — use fewer or smaller images`,
      { cause: thrown },
    )
  }
}

async function readBytes(path: string, position: number, bytes: number): Promise<Uint8Array> {
  try {
    const file = await open(path)
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(bytes), 0, bytes, position)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (thrown) {
    throw explainReadError(path, thrown)
  }
}

const again = ' — fetch the file again'
const damagedGzip = 'not a gzip file, or a damaged one'

function truncated(path: string, foundBytes: number, expectedBytes: number): UserError {
  return new UserError(
    `${path}: truncated: ${foundBytes} bytes where ${expectedBytes} were announced${again}`,
  )
}

function tooLong(path: string, expectedBytes: number): UserError {
  return new UserError(`${path}: longer than announced: ${expectedBytes} bytes${again}`)
}

/** Turns an error of reading or decompressing a file into a `UserError` that names it; others stay. */
export function explainReadError(path: string, thrown: unknown): unknown {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code ?? ''
  const explain = (text: string) => new UserError(`${path}: ${text}`, { cause: thrown })
  if (code.startsWith('Z_')) return explain(`${damagedGzip}: ${messageOf(thrown)}${again}`)
  if (code === 'ELOOP') return explain('its symbolic links form a loop — replace them')
  if (code === 'EACCES' || code === 'EPERM') return explain('permission denied — make it readable')
  return explainFileError(path, thrown)
}
