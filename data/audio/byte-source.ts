// Bytes that are read by position: an open file, or memory.
import { open } from 'node:fs/promises'
import { explainReadError, fileSizeBytes } from '../readers/files.ts'

const headBytes = 1 << 16

/** Bytes of known number. */
export interface ByteSource {
  /** What it is called in messages: a path, a column. */
  readonly where: string
  readonly size: number
  /** Reads so many bytes from a position on; fewer where the source ends before. */
  read(position: number, bytes: number): Promise<Uint8Array>
}

/** Bytes in memory as a source. */
export function memorySource(where: string, content: Uint8Array): ByteSource {
  return {
    where,
    size: content.length,
    read: async (position, bytes) => content.subarray(position, position + bytes),
  }
}

/** Gives a file's bytes to a function and closes it afterwards; errors of reading name the path. */
export async function withFileSource<Result>(
  path: string,
  use: (source: ByteSource) => Promise<Result>,
): Promise<Result> {
  // Looked at before it is opened: a pipe without a writer would be waited for.
  const size = await fileSizeBytes(path)
  try {
    const file = await open(path)
    try {
      const readAt = async (position: number, bytes: number) => {
        const content = Buffer.allocUnsafe(Math.max(0, Math.min(bytes, size - position)))
        const { bytesRead } = await file.read(content, 0, content.length, position)
        return content.subarray(0, bytesRead)
      }
      // Short sounds are whole in it, and headers are many small pieces.
      const head = await readAt(0, headBytes)
      const read = async (position: number, bytes: number) =>
        position + bytes <= head.length
          ? head.subarray(position, position + bytes)
          : await readAt(position, bytes)
      return await use({ where: path, size, read })
    } finally {
      await file.close()
    }
  } catch (thrown) {
    throw explainReadError(path, thrown)
  }
}
