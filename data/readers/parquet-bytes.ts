// The bytes of a Parquet file as its library asks for them, within limits.
import type { AsyncBuffer, Compressors } from 'hyparquet'
import { compressors, decompressZstd } from 'hyparquet-compressors'
import { messageOf, UserError } from '../../base/errors.ts'
import { openFile, readAt } from './array-rows.ts'
import { fileSizeBytes } from './files.ts'

// No page that is larger than the first figure is larger than its bytes by more than the second.
const freePageBytes = 1 << 26
const maximumRatio = 1032

/** Decompression that checks what a page announces before memory is set aside for it. */
export const limitedCompressors: Compressors = Object.fromEntries(
  Object.entries(compressors).map(([codec, decompress]) => [
    codec,
    (input: Uint8Array, length: number) => {
      if (length > Math.max(freePageBytes, input.length * maximumRatio))
        throw new Error(`a page announces ${length} bytes out of ${input.length}`)
      // The library's own would trust the length that the compressed bytes announce.
      return codec === 'ZSTD'
        ? decompressZstd(input, new Uint8Array(length))
        : decompress(input, length)
    },
  ]),
)

/** Opens a file for the library; whoever opens it closes it. */
export async function openBuffer(
  path: string,
): Promise<{ buffer: AsyncBuffer; close: () => Promise<void> }> {
  const size = await fileSizeBytes(path)
  const file = await openFile(path)
  const read = async (start: number, end: number) => {
    if (!(start >= 0 && start <= end && end <= size))
      throw new UserError(`${path}: points beyond its end — fetch the file again`)
    return (await readAt(file, path, start, end - start)).buffer as ArrayBuffer
  }
  const buffer: AsyncBuffer = {
    byteLength: size,
    slice(start, end = size) {
      const bytes = read(start, end)
      // The library asks for several pieces and stops at the first that fails: the others' failure
      // must not end the process.
      bytes.catch(() => undefined)
      return bytes
    },
  }
  return { buffer, close: () => file.close() }
}

/** The library throws plain errors, and errors of typed arrays, for whatever is wrong in a file. */
export function explainParquetError(path: string, thrown: unknown): unknown {
  if (thrown instanceof UserError) return thrown
  return new UserError(
    `${path}: not a Parquet file, or a damaged one: ${messageOf(thrown)} — fetch the file again`,
    { cause: thrown },
  )
}
