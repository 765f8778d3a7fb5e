// Downloading a data set of several files, or of an archive, from one of its mirrors.
import {
  constants,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { z } from 'zod'
import { showAddress } from '../base/addresses.ts'
import { type Digest, digestOfFile } from '../base/digest.ts'
import { type DownloadProgress, download } from '../base/download.ts'
import { messageOf, throwIfAborted, UserError } from '../base/errors.ts'
import { explainFileError, makeFolder, writeAtomically } from '../base/files.ts'
import { sha256, sha256OfFile } from '../base/hash.ts'
import { abandonedNames, ownName } from '../base/owner.ts'
import { extract } from './archives.ts'

/** A file that is kept as it comes. */
export interface RemoteFile {
  /** On the mirrors, and in the folder. */
  readonly name: string
  readonly maximumBytes: number
  readonly digest: Digest
}

/** An archive of which some files are kept. */
export interface RemoteArchive {
  /** Its paths on the mirrors; each is as good as the others. */
  readonly paths: readonly string[]
  readonly maximumBytes: number
  readonly maximumContentBytes: number
  /** Of the archive itself, where its bytes are known. */
  readonly digest?: Digest
  /** Which files of it are kept: the first group is the name in the folder. */
  readonly keep: RegExp
  /** How many these are. */
  readonly files: number
  /** SHA-256 of the kept files, of lines as `sha256sum` prints them, sorted by name. */
  readonly contentDigest?: string
}

/** A data set and where it is on the web. */
export interface DownloadSet {
  /** Its folder in the cache, and in `$CONDENSE_DATA`. */
  readonly folder: string
  /** About how much it is, for people. */
  readonly megabytes: number
  /** Addresses that end in a slash, tried in this order. */
  readonly mirrors: readonly string[]
  readonly content: { readonly files: readonly RemoteFile[] } | { readonly archive: RemoteArchive }
}

/** What a download is given besides. */
export interface EnsureOptions {
  /** Told, in one line each, what is downloaded and which mirror failed why. */
  readonly log: (line: string) => void
  readonly progress?: ((progress: DownloadProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** In place of the official ones. */
  readonly mirrors?: readonly string[]
  /** See {@link download}. */
  readonly pauseMs?: number
}

/**
 * Downloads what is missing of a data set and gives its folder in the cache.
 *
 * Each file is checked against its digest, and the folder appears when it is whole; mirrors are tried in turn. A
 * {@link UserError} says why none of them would do.
 */
export async function ensureSet(
  name: string,
  set: DownloadSet,
  cacheFolder: string,
  options: EnsureOptions,
): Promise<string> {
  const finished = finishedFolder(set, cacheFolder)
  if (finished !== undefined) return finished
  const folder = folderOf(set, cacheFolder)
  const store = storeOf(set, cacheFolder)
  makeFolder(store)
  options.log(`downloading '${name}', about ${set.megabytes} MB, to ${folder}`)
  try {
    // What somebody put there is filled up.
    if (existsSync(folder)) await fill(name, set, store, folder, options)
    else await make(name, set, store, folder, options)
  } catch (thrown) {
    throwIfAborted(options.signal)
    // Another process that does the same may have been quicker, and have tidied up.
    if (finishedFolder(set, cacheFolder) === undefined) throw thrown
  }
  rmSync(store, { recursive: true, force: true })
  return folder
}

const storeOf = ({ folder }: DownloadSet, cacheFolder: string) =>
  join(cacheFolder, 'downloads', folder)

async function make(
  name: string,
  set: DownloadSet,
  store: string,
  folder: string,
  options: EnsureOptions,
): Promise<void> {
  const unfinished = `${store}.whole`
  for (const left of abandonedNames(unfinished)) rmSync(left, { recursive: true, force: true })
  const fresh = ownName(unfinished)
  makeFolder(fresh)
  try {
    await fill(name, set, store, fresh, options)
    makeFolder(dirname(folder))
    move(fresh, folder)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

/** Brings all files into a folder; what comes from the web lies in the store until it is whole. */
async function fill(
  name: string,
  set: DownloadSet,
  store: string,
  folder: string,
  options: EnsureOptions,
): Promise<void> {
  const { content } = set
  const names =
    'files' in content
      ? await fetchFiles(name, set, content.files, store, folder, options)
      : await fetchArchive(name, set, content.archive, store, folder, options)
  const sizes = names.map((file) => [file, sizeOf(join(folder, file)) ?? 0])
  writeAtomically(markerOf(folder), JSON.stringify(sizes))
}

const folderOf = ({ folder }: DownloadSet, cacheFolder: string) => join(cacheFolder, 'data', folder)
const markerOf = (folder: string) => join(folder, '.downloaded.json')
const markerSchema = z.array(z.tuple([z.string(), z.int().min(0)]))

/** The folder in the cache with all files of a data set, if they were downloaded: their sizes alone are compared. */
function finishedFolder(set: DownloadSet, cacheFolder: string): string | undefined {
  const folder = folderOf(set, cacheFolder)
  try {
    const files = markerSchema.parse(JSON.parse(readFileSync(markerOf(folder), 'utf8')))
    return files.every(([name, bytes]) => sizeOf(join(folder, name)) === bytes) ? folder : undefined
  } catch {
    // Absent, or written by something else: the files themselves are looked at.
    return undefined
  }
}

const sizeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.size

async function fetchFiles(
  name: string,
  set: DownloadSet,
  files: readonly RemoteFile[],
  store: string,
  folder: string,
  options: EnsureOptions,
): Promise<string[]> {
  for (const file of files) {
    const path = join(folder, file.name)
    if (await isRight(path, file.digest, options.signal)) continue
    const stored = join(store, file.name)
    if (!(await isRight(stored, file.digest, options.signal)))
      await fetchOne(name, set, [file.name], stored, file, options)
    // Other processes may be about to take the same file.
    copy(stored, path)
  }
  return files.map((file) => file.name)
}

function copy(from: string, to: string): void {
  const temporary = ownName(to)
  try {
    copyFileSync(from, temporary, constants.COPYFILE_FICLONE)
    renameSync(temporary, to)
  } catch (thrown) {
    rmSync(temporary, { force: true })
    throw explainFileError(to, thrown)
  }
}

async function isRight(
  path: string,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (sizeOf(path) === undefined) return false
  try {
    return (await digestOfFile(path, digest, signal)) === digest.value
  } catch (thrown) {
    if (thrown instanceof UserError) return false
    throw thrown
  }
}

/** Tries each mirror; the file is checked by whoever downloads it, and by `accept`. */
async function fetchOne(
  name: string,
  set: DownloadSet,
  paths: readonly string[],
  target: string,
  { maximumBytes, digest }: { readonly maximumBytes: number; readonly digest?: Digest },
  { log, progress, signal, pauseMs, mirrors = set.mirrors }: EnsureOptions,
  accept: () => Promise<void> = async () => undefined,
): Promise<void> {
  const reasons: string[] = []
  for (const path of paths)
    for (const mirror of mirrors)
      try {
        await download(mirror + path, target, {
          maximumBytes,
          digest,
          signal,
          onProgress: progress,
          ...(pauseMs === undefined ? {} : { pauseMs }),
        })
        return await accept()
      } catch (thrown) {
        if (!(thrown instanceof UserError)) throw thrown
        log(`${showAddress(mirror + path)} would not do`)
        // Without the advice: there is one for all of them.
        reasons.push(messageOf(thrown).split(' — ')[0]!)
      }
  throw new UserError(
    `data.source: '${name}' could not be downloaded: ${reasons.join('; ')} — check the connection and try again, or put the files into $CONDENSE_DATA/${set.folder}`,
  )
}

async function fetchArchive(
  name: string,
  set: DownloadSet,
  archive: RemoteArchive,
  store: string,
  folder: string,
  options: EnsureOptions,
): Promise<string[]> {
  const path = join(store, 'archive')
  // A process that was killed while it unpacked left it.
  if (archive.digest && (await isRight(path, archive.digest, options.signal)))
    return await unpack(path, archive, folder, options)
  let names: string[] = []
  await fetchOne(name, set, archive.paths, path, archive, options, async () => {
    names = await unpack(path, archive, folder, options)
  })
  return names
}

async function unpack(
  path: string,
  archive: RemoteArchive,
  folder: string,
  { signal }: EnsureOptions,
): Promise<string[]> {
  const scratch = ownName(`${path}.content`)
  try {
    await extract(path, scratch, {
      maximumBytes: archive.maximumContentBytes,
      maximumFiles: 20_000,
      signal,
    })
    const kept = await keptFiles(scratch, archive)
    if (kept.length !== archive.files)
      throw new UserError(
        `${path}: not the archive that is expected: ${kept.length} of its files are of the data set, not ${archive.files} — try again later`,
      )
    await checkContent(path, scratch, kept, archive)
    for (const { from, name } of kept) move(join(scratch, from), join(folder, name))
    return kept.map(({ name }) => name)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

interface Kept {
  /** In the archive. */
  readonly from: string
  /** In the folder. */
  readonly name: string
}

async function keptFiles(scratch: string, { keep }: RemoteArchive): Promise<Kept[]> {
  const entries = await readdir(scratch, { recursive: true, withFileTypes: true })
  const kept = entries.flatMap((entry) => {
    if (!entry.isFile()) return []
    const from = relative(scratch, join(entry.parentPath, entry.name))
    const name = keep.exec(from.split(sep).join('/'))?.[1]
    return name === undefined ? [] : [{ from, name }]
  })
  return kept.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function checkContent(
  path: string,
  scratch: string,
  kept: readonly Kept[],
  { contentDigest }: RemoteArchive,
): Promise<void> {
  if (contentDigest === undefined) return
  const lines: string[] = []
  for (const { from } of kept)
    lines.push(`${await sha256OfFile(join(scratch, from))}  ${from.split(sep).at(-1)}\n`)
  const found = sha256(lines.join(''))
  if (found !== contentDigest)
    throw new UserError(
      `${path}: not the archive that is expected: its files have the SHA-256 ${found} instead of ${contentDigest} — try again later`,
    )
}

function move(from: string, to: string): void {
  makeFolder(dirname(to))
  try {
    renameSync(from, to)
  } catch (thrown) {
    throw explainFileError(to, thrown)
  }
}
