// Writing files so that a reader sees the old content or the new, never a half: temporary file, fsync, rename.
import { randomBytes } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { messageOf, UserError } from './errors.ts'

const explanations: Readonly<Record<string, string>> = {
  EACCES: 'permission denied — choose a folder that you may write to',
  EPERM: 'permission denied — choose a folder that you may write to',
  EROFS: 'the file system is read-only — choose another folder',
  ENOSPC: 'the disk is full — free some space and run again, finished stages are kept',
  EDQUOT: 'the disk quota is used up — free some space and run again, finished stages are kept',
  ENOTDIR: 'a part of the path is a file, not a folder — choose another path',
  EISDIR: 'the path is a folder, not a file — choose another path',
  ENOENT: 'no such file or folder — check the path',
  EEXIST: 'a file of that name is in the way — choose another path',
  ENAMETOOLONG: 'the path is too long — choose a shorter one',
  ELOOP: 'the path has symbolic links that lead in a circle — choose another path',
}

/** Turns a file system error into a {@link UserError} that names the path; anything else is returned as it is. */
export function explainFileError(path: string, thrown: unknown): unknown {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code
  const explanation = code === undefined ? undefined : explanations[code]
  return explanation ? new UserError(`${path}: ${explanation}`, { cause: thrown }) : thrown
}

/** Creates a folder and its parents; a {@link UserError} says why it cannot. */
export function makeFolder(path: string): void {
  try {
    makeFolders(resolve(path))
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

/** Makes a folder and its parents; a {@link UserError} says why it cannot, or why nothing can be written there. */
export function makeWritable(path: string): void {
  makeFolder(path)
  try {
    accessSync(path, constants.W_OK)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

/** Folder by folder: Node's own recursion says of a read-only file system that there is no such folder. */
function makeFolders(path: string): void {
  try {
    mkdirSync(path)
  } catch (thrown) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
    const isOrphan = (thrown as NodeJS.ErrnoException).code === 'ENOENT'
    if (!isOrphan || dirname(path) === path) throw thrown
    makeFolders(dirname(path))
    makeFolders(path)
  }
}

/**
 * Writes pieces to a file in one atomic step; after an error nothing is left behind.
 *
 * The folder must exist. Errors that the user can fix (full disk, no permission) become a {@link UserError}.
 */
export function writeAtomically(
  path: string,
  content: Uint8Array | string | Iterable<Uint8Array>,
): void {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  const pieces =
    typeof content === 'string'
      ? [Buffer.from(content)]
      : content instanceof Uint8Array
        ? [content]
        : content
  try {
    const file = openSync(temporary, 'wx')
    try {
      for (const piece of pieces) writeWhole(file, piece)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  } catch (thrown) {
    try {
      rmSync(temporary, { force: true })
    } catch (second) {
      throw new Error(`${messageOf(thrown)}; and ${temporary} could not be removed`, {
        cause: second,
      })
    }
    throw explainFileError(path, thrown)
  }
}

function writeWhole(file: number, piece: Uint8Array): void {
  for (let offset = 0; offset < piece.length; ) offset += writeSync(file, piece, offset)
}
