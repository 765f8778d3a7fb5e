// NumPy's npz: a zip of npy arrays, stored or deflated.
import { pipeline, type Readable, Transform } from 'node:stream'
import { crc32 } from 'node:zlib'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { z } from 'zod'
import { messageOf, UserError } from '../../base/errors.ts'
import { fortranRows, streamedBytes } from './array-rows.ts'
import { type ArrayRows, arraySets, rowBytes, type StoredArray, tableOfArrays } from './arrays.ts'
import { explainReadError, fileSizeBytes } from './files.ts'
import { maximumHeaderBytes, readNpyHeader } from './npy-header.ts'
import { defineReader } from './reader.ts'

const stored = 0
const deflated = 8
// Deflate cannot shrink anything further than this, so a greater claim is false.
const maximumDeflateRatio = 1032
const maximumEntries = 4096

/**
 * Arrays in one `.npz`, named `x_train`, `y_train`, `x_test`, `y_test` or the like, or in a folder
 * with `train.npz` and `test.npz`.
 *
 * Entries are decompressed side by side as the rows are asked for; none is held as a whole. Arrays
 * in Fortran order must be stored without compression.
 */
export const npz = defineReader({
  summary:
    'NumPy arrays in a zip: NAME.npz with x_train, y_train, x_test …, or train.npz, test.npz',
  options: z.strictObject({}),
  open: async (place, _options, { log }) =>
    tableOfArrays(await arraySets(place, '.npz', npzArrays), log),
})

/** The arrays of an npz file, by their own names; what is wrong with the file is a `UserError`. */
export async function npzArrays(path: string): Promise<StoredArray[]> {
  const size = await fileSizeBytes(path)
  const zip = await openZip(path)
  try {
    if (zip.entryCount > maximumEntries)
      throw new UserError(`${path}: ${zip.entryCount} entries — an npz has one for each array`)
    const arrays: StoredArray[] = []
    for await (const entry of zip.eachEntry())
      if (entry.fileName.endsWith('.npy')) {
        checkEntry(path, entry, size)
        arrays.push(await arrayOf(path, zip, entry))
      }
    if (arrays.length === 0)
      throw new UserError(`${path}: holds no array — write it with numpy.savez`)
    return arrays
  } catch (thrown) {
    throw explain(path, thrown)
  } finally {
    zip.close()
  }
}

function checkEntry(path: string, entry: Entry, fileBytes: number): void {
  const { fileName, compressionMethod, compressedSize, uncompressedSize } = entry
  const refuse = (what: string) => new UserError(`${path}: ${fileName}: ${what}`)
  if (entry.isEncrypted()) throw refuse('is encrypted — write it with numpy.savez')
  if (compressionMethod !== stored && compressionMethod !== deflated)
    throw refuse(`unknown compression: ${compressionMethod} — write it with numpy.savez`)
  const largest =
    compressionMethod === stored ? compressedSize : compressedSize * maximumDeflateRatio
  if (compressedSize > fileBytes || uncompressedSize > largest)
    throw refuse(
      `announces ${uncompressedSize} bytes out of ${compressedSize}, which cannot be — fetch the file again`,
    )
}

async function arrayOf(path: string, zip: ZipFile, entry: Entry): Promise<StoredArray> {
  const name = entry.fileName.slice(0, -'.npy'.length)
  const where = `${path}: ${name}`
  const stream = await zip.openReadStreamPromise(entry)
  const head = await firstBytes(stream, Math.min(maximumHeaderBytes, entry.uncompressedSize))
  const header = readNpyHeader(where, head)
  const expectedBytes = header.dataStart + header.dataBytes
  if (entry.uncompressedSize !== expectedBytes)
    throw new UserError(
      `${where}: ${entry.uncompressedSize} bytes where shape [${header.shape}] needs ${expectedBytes} — fetch the file again`,
    )
  const array = { name, where, ...header }
  if (!header.fortranOrder || header.shape.length === 1)
    return { ...array, open: () => openStream(path, entry, array, header.dataStart) }
  if (entry.compressionMethod !== stored)
    throw new UserError(
      `${where}: compressed in Fortran order cannot be read by rows — save numpy.ascontiguousarray(${name})`,
    )
  const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true })
  return { ...array, open: () => fortranRows(path, fileDataStart + header.dataStart, array) }
}

async function firstBytes(stream: Readable, count: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of stream) {
    pieces.push(piece)
    bytes += piece.length
    if (bytes >= count) break
  }
  return Buffer.concat(pieces).subarray(0, count)
}

async function openStream(
  path: string,
  entry: Entry,
  array: Omit<StoredArray, 'open'>,
  dataStart: number,
): Promise<ArrayRows> {
  const zip = await openZip(path)
  const content = await zip.openReadStreamPromise(entry)
  const stream = pipeline(content, checksum(array.where, entry.crc32), () => undefined)
  const rows = streamedBytes(array.where, stream, entry.uncompressedSize)
  const size = rowBytes(array)
  const explained = async (count: number) => {
    try {
      return await rows.next(count)
    } catch (thrown) {
      throw explain(path, thrown)
    }
  }
  await explained(dataStart)
  return {
    next: (count) => explained(count * size),
    async close() {
      await rows.close()
      zip.close()
    },
  }
}

/** Passes bytes on and compares their checksum at the end, which the zip library does not. */
function checksum(where: string, expected: number): Transform {
  let sum = 0
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      sum = crc32(piece, sum)
      done(null, piece)
    },
    flush(done) {
      const isRight = sum >>> 0 === expected >>> 0
      done(isRight ? null : new UserError(`${where}: wrong checksum — fetch the file again`))
    },
  })
}

async function openZip(path: string): Promise<ZipFile> {
  try {
    return await openPromise(path, { lazyEntries: true, autoClose: false })
  } catch (thrown) {
    throw explain(path, thrown)
  }
}

// The library throws plain errors for whatever is wrong in a zip.
function explain(path: string, thrown: unknown): unknown {
  if (thrown instanceof UserError) return thrown
  const explained = explainReadError(path, thrown)
  if (explained instanceof UserError) return explained
  return new UserError(`${path}: a damaged zip: ${messageOf(thrown)} — fetch the file again`, {
    cause: thrown,
  })
}
