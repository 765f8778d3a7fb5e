// The bytes of typed arrays, and of files that are written and read piece by piece.
import { openSync, readSync, writeSync } from 'node:fs'
import { UserError } from './errors.ts'
import { explainFileError } from './files.ts'

/** The bytes of a typed array, a view. */
export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/** Opens a file; a {@link UserError} says why it cannot. */
export function openOrExplain(path: string, flags: 'r' | 'w'): number {
  try {
    return openSync(path, flags)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

/** Appends all of these bytes to an open file; a {@link UserError} says why it cannot. */
export function append(file: number, path: string, bytes: Uint8Array): void {
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

/** Fills `bytes` with what an open file has from `position` on; a file that ends before is a {@link UserError}. */
export function fillFrom(file: number, path: string, position: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const count = readSync(file, bytes, done, bytes.length - done, position + done)
    if (count === 0)
      throw new UserError(`${path}: became shorter while it was read — run the same again`)
    done += count
  }
}
