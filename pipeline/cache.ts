// Finished stages, kept by the hash of everything that they depend on. An entry is a folder that appears in one
// step; its manifest holds the hash of each file, so that damage is seen and the stage runs again.
//
//   <cache>/stages/<key>/  model.onnx  facts.json  manifest.json
//   <cache>/work/<key>/    checkpoints of a stage that is not finished
//   <cache>/locks/<key>    who works on it
//   <cache>/shared/        files that stages share, named by hashes
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { explainFileError, makeFolder, makeWritable, writeAtomically } from '../base/files.ts'
import { hashOf, sha256OfFile } from '../base/hash.ts'
import type { Model } from '../onnx/graph.ts'
import { saveModel } from '../onnx/save.ts'
import type { Facts } from '../stages/stage.ts'
import { isLocked, withLock } from './lock.ts'

/** Where the cache is: `$CONDENSE_CACHE`, or the folder that the system has for caches. */
export function defaultCacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const { CONDENSE_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = environment
  if (CONDENSE_CACHE) return CONDENSE_CACHE
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'condense')
  if (process.platform === 'win32')
    return join(LOCALAPPDATA || join(homedir(), 'AppData', 'Local'), 'condense', 'cache')
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'condense')
}

const manifestSchema = z.strictObject({
  version: z.literal(1),
  stage: z.string(),
  /** How long it took, and how much work it was: later plans estimate with it. */
  seconds: z.number(),
  work: z.number(),
  epochSeconds: z.array(z.number()),
  files: z.record(z.string(), z.string()),
})

/** What is known of a finished stage besides its result. */
export type Manifest = z.output<typeof manifestSchema>

/** A finished stage in the cache. */
export interface Entry {
  readonly key: string
  readonly modelPath: string
  /** Hash of the model and its external data. */
  readonly hash: string
  readonly facts: Facts
  readonly manifest: Manifest
}

const manifestName = 'manifest.json'
const stagesFolder = (cache: string): string => join(cache, 'stages')
const entryFolder = (cache: string, key: string): string => join(stagesFolder(cache), key)

/** Where an unfinished stage keeps its checkpoints. */
export const workFolder = (cache: string, key: string): string => join(cache, 'work', key)

/** Where stages keep what other stages can use as well. */
export const sharedFolder = (cache: string): string => join(cache, 'shared')

/** The lock of whoever works on a stage. */
export const lockPath = (cache: string, key: string): string => join(cache, 'locks', key)

/** Makes the folders of a cache; a {@link UserError} says why it cannot. */
export function prepareCache(cache: string): void {
  for (const name of ['stages', 'work', 'locks', 'shared']) makeWritable(join(cache, name))
}

/** Looks a finished stage up; a damaged entry is removed and reported, as if it had not been there. */
export async function findEntry(
  cache: string,
  key: string,
  log: (message: string) => void = () => undefined,
): Promise<Entry | undefined> {
  const folder = entryFolder(cache, key)
  if (!existsSync(folder)) return undefined
  const entry = await readEntry(folder)
  if (entry) return entry
  log(`the cache entry ${basename(folder).slice(0, 8)} is damaged and is made again`)
  rmSync(folder, { recursive: true, force: true })
  return undefined
}

async function readEntry(folder: string): Promise<Entry | undefined> {
  try {
    const content: unknown = JSON.parse(readFileSync(join(folder, manifestName), 'utf8'))
    const manifest = manifestSchema.parse(content)
    for (const [name, hash] of Object.entries(manifest.files))
      if ((await sha256OfFile(join(folder, name))) !== hash) return undefined
    return {
      key: basename(folder),
      modelPath: join(folder, 'model.onnx'),
      hash: hashOfFiles(manifest.files),
      // Written by putEntry; its hash has just been checked.
      facts: JSON.parse(readFileSync(join(folder, 'facts.json'), 'utf8')) as Facts,
      manifest,
    }
  } catch {
    return undefined
  }
}

/** The facts are about the model; only what is in the model counts for the stages that take it. */
const hashOfFiles = (files: Readonly<Record<string, string>>): string =>
  hashOf(Object.entries(files).filter(([name]) => name !== 'facts.json'))

/** Keeps a finished stage. After an error, and after a loss of power, there is a whole entry or none. */
export async function putEntry(
  cache: string,
  key: string,
  result: { readonly model: Model; readonly facts: Facts },
  about: Omit<Manifest, 'version' | 'files'>,
): Promise<Entry> {
  const folder = entryFolder(cache, key)
  const temporary = join(
    stagesFolder(cache),
    `.${key.slice(0, 16)}.${randomBytes(6).toString('hex')}.tmp`,
  )
  try {
    makeFolder(temporary)
    await saveModel(result.model, join(temporary, 'model.onnx'))
    writeAtomically(join(temporary, 'facts.json'), `${JSON.stringify(result.facts)}\n`)
    const files: Record<string, string> = {}
    for (const name of readdirSync(temporary).sort())
      files[name] = await sha256OfFile(join(temporary, name))
    const manifest: Manifest = { version: 1, ...about, files }
    writeAtomically(join(temporary, manifestName), `${JSON.stringify(manifest, null, 2)}\n`)
    rmSync(folder, { recursive: true, force: true })
    renameSync(temporary, folder)
  } catch (thrown) {
    throw explainFileError(folder, thrown)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
  const entry = await readEntry(folder)
  if (!entry) throw new UserError(`${folder}: was changed while it was written — run again`)
  return entry
}

/** Lends a folder for temporary files; it is removed whatever happens. */
export async function withScratchFolder<Result>(
  cache: string,
  use: (folder: string) => Promise<Result>,
): Promise<Result> {
  const name = `scratch-${randomBytes(6).toString('hex')}`
  const folder = workFolder(cache, name)
  // The lock keeps `condense cache clear` away; nobody else knows the name.
  return await withLock(lockPath(cache, name), { onWait: () => undefined }, async () => {
    try {
      makeFolder(folder)
      return await use(folder)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}

/** An entry as `condense cache ls` shows it. */
export interface Listed {
  readonly key: string
  readonly stage: string
  readonly seconds: number
  readonly work: number
  readonly sizeBytes: number
  readonly modified: Date
}

/** The finished stages in the cache, newest first; damaged ones are left out. */
export function listEntries(cache: string): Listed[] {
  return namesIn(stagesFolder(cache))
    .flatMap((key) => {
      const folder = entryFolder(cache, key)
      try {
        const text = readFileSync(join(folder, manifestName), 'utf8')
        const { stage, seconds, work } = manifestSchema.parse(JSON.parse(text))
        const modified = statSync(folder).mtime
        return [{ key, stage, seconds, work, sizeBytes: sizeOf(folder), modified }]
      } catch {
        return []
      }
    })
    .sort((a, b) => b.modified.getTime() - a.modified.getTime())
}

/** Removes everything but data sets and what other runs are working on; says how many bytes that freed. */
export function clearCache(cache: string): { readonly freedBytes: number; readonly kept: number } {
  let freedBytes = 0
  let kept = 0
  for (const parent of [stagesFolder(cache), join(cache, 'work'), sharedFolder(cache)])
    for (const name of namesIn(parent)) {
      if (isLocked(lockPath(cache, name))) {
        kept++
        continue
      }
      const path = join(parent, name)
      freedBytes += sizeOf(path)
      rmSync(path, { recursive: true, force: true })
    }
  return { freedBytes, kept }
}

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : [])

function sizeOf(path: string): number {
  const stats = statSync(path)
  if (!stats.isDirectory()) return stats.size
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0)
}
