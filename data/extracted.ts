// Archives that were extracted once and are found again: by the hash of their bytes.
import { rmSync } from 'node:fs'
import { readdir, readFile, rename, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { throwIfAborted } from '../base/errors.ts'
import { explainFileError, makeFolder, writeAtomically } from '../base/files.ts'
import { sha256OfFile } from '../base/hash.ts'
import { abandonedNames, ownName } from '../base/owner.ts'
import { archiveEnding, type ExtractOptions, extract } from './archives.ts'

const factsSchema = z.strictObject({ files: z.number(), bytes: z.number() })

/**
 * The folder in the cache with what an archive holds, extracted once: its name carries the hash of the archive.
 *
 * Errors are those of {@link extract}.
 */
export async function extracted(
  archivePath: string,
  cacheFolder: string,
  options: ExtractOptions = {},
): Promise<string> {
  throwIfAborted(options.signal)
  const hash = await hashOfArchive(archivePath)
  const name = basename(archivePath)
    .replace(archiveEnding, '')
    .replace(/[^\w.-]/g, '_')
  const home = join(cacheFolder, 'extracted', `${name.slice(0, 60)}-${hash.slice(0, 16)}`)
  const folder = join(home, 'content')
  const facts = join(home, 'facts.json')
  if (await isWhole(folder, facts)) return folder
  // Beside the final place first: the facts must appear together with the content.
  makeFolder(dirname(home))
  for (const left of abandonedNames(`${home}.new`)) rmSync(left, { recursive: true, force: true })
  const fresh = ownName(`${home}.new`)
  try {
    const written = await extract(archivePath, join(fresh, 'content'), options)
    writeAtomically(join(fresh, 'facts.json'), JSON.stringify(written))
    await replace(fresh, home)
    return folder
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

async function hashOfArchive(path: string): Promise<string> {
  try {
    return await sha256OfFile(path)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

/** Puts the folder in its place; where another process was quicker its result stays, where it is damaged it goes. */
async function replace(fresh: string, home: string): Promise<void> {
  for (let tries = 0; ; tries++)
    try {
      await rename(fresh, home)
      return
    } catch (thrown) {
      if (await isWhole(join(home, 'content'), join(home, 'facts.json'))) return
      if (tries > 0) throw explainFileError(home, thrown)
      rmSync(home, { recursive: true, force: true })
    }
}

async function isWhole(folder: string, factsPath: string): Promise<boolean> {
  try {
    const facts = factsSchema.parse(JSON.parse(await readFile(factsPath, 'utf8')))
    let files = 0
    let bytes = 0
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      files++
      bytes += (await stat(join(entry.parentPath, entry.name))).size
    }
    return files === facts.files && bytes === facts.bytes
  } catch {
    // Absent, half written or meddled with: extracted anew.
    return false
  }
}

/** Goes down while a folder holds one thing alone: many archives put all they hold into one folder, or are one file. */
export async function soleEntry(folder: string): Promise<string> {
  const [only, ...others] = await readdir(folder, { withFileTypes: true })
  if (!only || others.length > 0) return folder
  const path = join(folder, only.name)
  return only.isDirectory() ? soleEntry(path) : path
}
