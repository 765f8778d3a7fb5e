// The folder that a run leaves behind: which one it is, who may write to it, and its event log.
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../base/errors.ts'
import { explainFileError, makeWritable, writeAtomically } from '../base/files.ts'
import { hashOf } from '../base/hash.ts'
import type { RunEvent } from './events.ts'
import { tryLock } from './lock.ts'
import type { Recipe } from './recipe.ts'

/** The folder of a run, held by one process. */
export interface Output {
  readonly folder: string
  /** Appends an event with the time to events.ndjson. */
  record(event: RunEvent): void
  /** Writes files of the folder; after an error none of them is there. */
  write(files: Readonly<Record<string, string>>): void
  /** Lets go of the folder. */
  close(): void
}

const recipeName = 'recipe.resolved.json'

/**
 * Where a run of this recipe goes: `runs/<name>`, or `runs/<name>-<hash8>` where a run of other options has been.
 *
 * A folder that was asked for must be new, empty, or of the same recipe; otherwise it is a {@link UserError}.
 */
export function chooseFolder(recipe: Recipe, asked?: string): string {
  if (asked !== undefined) {
    if (!isFor(recipe, asked))
      throw new UserError(
        `${asked}: the folder holds something else — choose a new or empty folder`,
      )
    return asked
  }
  const folder = join('runs', recipe.name)
  return isFor(recipe, folder) ? folder : `${folder}-${hashOf(recipe).slice(0, 8)}`
}

function isFor(recipe: Recipe, folder: string): boolean {
  try {
    if (!existsSync(folder)) return true
    // What a run leaves that was killed before it could say what it is.
    if (readdirSync(folder).every((name) => name === lockName || leftover.test(name))) return true
    return hashOf(JSON.parse(readFileSync(join(folder, recipeName), 'utf8'))) === hashOf(recipe)
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    // A file in the folder's place is for makeWritable to complain of.
    return code === 'ENOTDIR'
  }
}

const lockName = '.lock'

/** Makes the folder of a run and takes hold of it; whatever keeps it from being written is a {@link UserError}. */
export function openOutput(recipe: Recipe, folder: string): Output {
  makeWritable(folder)
  const lock = tryLock(join(folder, lockName))
  if ('heldBy' in lock)
    throw new UserError(
      `${folder}: another run is writing there: process ${lock.heldBy} — wait for it, or choose another folder with --out`,
    )
  const eventsPath = join(folder, 'events.ndjson')
  try {
    removeLeftovers(folder)
    writeAtomically(join(folder, recipeName), `${JSON.stringify(recipe, null, 2)}\n`)
    const events = openSync(eventsPath, 'w')
    return {
      folder,
      record(event) {
        try {
          writeSync(events, `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`)
        } catch (thrown) {
          throw explainFileError(eventsPath, thrown)
        }
      },
      write(files) {
        const paths = Object.entries(files).map(
          ([name, text]) => [join(folder, name), text] as const,
        )
        try {
          for (const [path, text] of paths) writeAtomically(path, text)
        } catch (thrown) {
          for (const [path] of paths) rmSync(path, { force: true })
          throw thrown
        }
      },
      close() {
        closeSync(events)
        lock.release()
      },
    }
  } catch (thrown) {
    lock.release()
    throw explainFileError(eventsPath, thrown)
  }
}

/** The name of a temporary file of a run that was killed while it wrote. */
const leftover = /(^|[\\/])\.[^\\/]+\.tmp$/

function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (leftover.test(name)) rmSync(join(folder, name), { force: true })
}
