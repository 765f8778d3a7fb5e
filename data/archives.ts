// Extracting archives that are not trusted: nothing outside the folder, no links, no bombs, all or nothing.
import { renameSync, rmSync } from 'node:fs'
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Interrupted, messageOf, throwIfAborted, UserError } from '../base/errors.ts'
import { explainFileError, makeFolder } from '../base/files.ts'
import { abandonedNames, ownName } from '../base/owner.ts'
import { type ArchiveEntry, archiveEntries } from './archive-entries.ts'

/** Limits of an extraction. */
export interface ExtractOptions {
  /** Bytes of all files together at most. */
  readonly maximumBytes?: number
  /** Files and folders at most. */
  readonly maximumFiles?: number
  /** So many times the archive's own size at most, where the content is large. */
  readonly maximumRatio?: number
  readonly signal?: AbortSignal | undefined
}

/** What an extraction wrote. */
export interface Extracted {
  readonly files: number
  readonly bytes: number
}

const defaultMaximumBytes = 64 * 2 ** 30
const defaultMaximumFiles = 2_000_000
const defaultMaximumRatio = 250
// Less than this is no bomb, however small the archive.
const harmlessBytes = 64 * 2 ** 20
const maximumDepth = 64

/** The endings of archives' names. */
export const archiveEnding = /\.(?:tar|tar\.gz|tgz|zip)$/i

/** True for the names that archives have; a `.gz` of one file is none. */
export function isArchive(path: string): boolean {
  return archiveEnding.test(path)
}

/**
 * Extracts a tar, tar.gz or zip file into a folder, which appears in one step; after an error nothing is left.
 *
 * Links, devices, encrypted files, names that leave the folder or come twice, and archives that unpack to more than the
 * limits are {@link UserError}s that name the entry. A folder that is there already must be empty. An aborted signal is
 * {@link Interrupted}.
 */
export async function extract(
  archivePath: string,
  folder: string,
  options: ExtractOptions = {},
): Promise<Extracted> {
  makeFolder(dirname(folder))
  const unfinished = `${folder}.tmp`
  for (const left of abandonedNames(unfinished)) rmSync(left, { recursive: true, force: true })
  const temporary = ownName(unfinished)
  try {
    makeFolder(temporary)
    const written = await unpack(archivePath, temporary, options)
    renameSync(temporary, folder)
    return written
  } catch (thrown) {
    rmSync(temporary, { recursive: true, force: true })
    throw explain(archivePath, thrown, options.signal)
  }
}

function explain(path: string, thrown: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return new Interrupted()
  if (thrown instanceof UserError) return thrown
  const explained = explainFileError(path, thrown)
  // Other system errors are not about the archive's content.
  if (explained instanceof UserError || (thrown as NodeJS.ErrnoException).syscall) return explained
  const message = messageOf(thrown).replace(/[\p{Cc}\s]+/gu, ' ')
  return new UserError(
    `${path}: the archive is damaged, or not safe to extract: ${message} — fetch it again, or extract it by other means`,
    { cause: thrown },
  )
}

async function unpack(path: string, folder: string, options: ExtractOptions): Promise<Extracted> {
  const {
    maximumBytes = defaultMaximumBytes,
    maximumFiles = defaultMaximumFiles,
    maximumRatio = defaultMaximumRatio,
    signal,
  } = options
  const archiveBytes = (await stat(path)).size
  const limit = Math.min(maximumBytes, Math.max(harmlessBytes, archiveBytes * maximumRatio))
  let files = 0
  let bytes = 0
  let entries = 0
  const count = (more: number) => {
    bytes += more
    if (bytes <= limit) return
    throw refusal(path, `it unpacks to more than ${limit} bytes from ${archiveBytes}`)
  }
  for await (const entry of archiveEntries(path, signal)) {
    throwIfAborted(signal)
    if (++entries > maximumFiles)
      throw refusal(path, `it holds more than ${maximumFiles} files and folders`)
    const parts = safeParts(path, entry)
    if (entry.kind === 'folder') {
      await makeInside(path, folder, parts, entry)
      continue
    }
    if (entry.kind !== 'file') throw refusal(path, `${quoted(entry)} is a ${entry.kind}`)
    if (bytes + entry.sizeBytes > limit) count(entry.sizeBytes)
    await makeInside(path, folder, parts.slice(0, -1), entry)
    const file = await openNew(path, join(folder, ...parts), entry)
    await write(file, entry, count, signal)
    files++
  }
  return { files, bytes }
}

async function makeInside(
  path: string,
  folder: string,
  parts: readonly string[],
  entry: ArchiveEntry,
): Promise<void> {
  try {
    await mkdir(join(folder, ...parts), { recursive: true })
  } catch (thrown) {
    throw collision(path, entry, thrown)
  }
}

/** Fails too where a name differs only in case and the file system does not tell them apart. */
async function openNew(path: string, target: string, entry: ArchiveEntry): Promise<FileHandle> {
  try {
    return await open(target, 'wx')
  } catch (thrown) {
    throw collision(path, entry, thrown)
  }
}

function collision(path: string, entry: ArchiveEntry, thrown: unknown): unknown {
  const { code = '' } = thrown as NodeJS.ErrnoException
  if (code === 'ENAMETOOLONG') return refusal(path, `the name ${quoted(entry)} is too long`)
  return ['EEXIST', 'ENOTDIR', 'EISDIR'].includes(code)
    ? refusal(path, `${quoted(entry)} is there twice`)
    : thrown
}

async function write(
  file: FileHandle,
  { content }: ArchiveEntry,
  count: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    for await (const piece of content) {
      throwIfAborted(signal)
      count(piece.length)
      for (let done = 0; done < piece.length; )
        done += (await file.write(piece, done, piece.length - done)).bytesWritten
    }
  } finally {
    await file.close()
  }
}

function refusal(path: string, what: string): UserError {
  return new UserError(
    `${path}: the archive is not safe to extract: ${what} — extract it by other means if you trust it`,
  )
}

const quoted = ({ name }: ArchiveEntry): string =>
  `'${name.slice(0, 100).replace(/[\p{Cc}\s]+/gu, ' ')}'`

/** The parts of an entry's name; a {@link UserError} for a name that leads out of the folder, here or on Windows. */
function safeParts(path: string, entry: ArchiveEntry): string[] {
  const { name } = entry
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  const isUnsafe =
    (parts.length === 0 && entry.kind !== 'folder') ||
    name.startsWith('/') ||
    /[\p{Cc}\\]/u.test(name) ||
    parts.length > maximumDepth ||
    parts.some((part) => part === '..' || /^[a-z]:/i.test(part))
  if (isUnsafe) throw refusal(path, `a file may not be called ${quoted(entry)}`)
  return parts
}
