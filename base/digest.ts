// Digests that files are checked against: of the file, or of what is packed in it.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { Interrupted, messageOf, UserError } from './errors.ts'
import { explainFileError } from './files.ts'

/** What a file's bytes must hash to. */
export interface Digest {
  readonly algorithm: 'sha256' | 'md5'
  /** In hexadecimal. */
  readonly value: string
  /** Of the file as it is, or of what its gzip holds; `file` unless told. */
  readonly of?: 'file' | 'content'
}

/** Hashes a file, or what its gzip holds; damaged gzip is a {@link UserError}. */
export async function digestOfFile(
  path: string,
  { algorithm, of = 'file' }: Omit<Digest, 'value'>,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash(algorithm)
  const consume = async (pieces: AsyncIterable<Buffer>) => {
    for await (const piece of pieces) hash.update(piece)
  }
  try {
    const source = createReadStream(path)
    const options = signal ? { signal } : {}
    if (of === 'file') await pipeline(source, consume, options)
    else await pipeline(source, createGunzip(), consume, options)
  } catch (thrown) {
    if (signal?.aborted) throw new Interrupted()
    if (String((thrown as NodeJS.ErrnoException).code).startsWith('Z_'))
      throw new UserError(`${path}: damaged gzip: ${messageOf(thrown)} — fetch the file again`, {
        cause: thrown,
      })
    throw explainFileError(path, thrown)
  }
  return hash.digest('hex')
}
