// The unfinished part of a download: a folder that belongs to one process at a time, so that two never write to one
// file, and that the next process finds.
//
//   <path>.part                    nobody's: content and validator
//   <path>.part-<host>-<pid>-<id>  somebody's; of a process of this host that is gone, anybody's
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { explainFileError, writeAtomically } from './files.ts'
import { abandonedNames, ownName } from './owner.ts'

/** A part that this process owns. */
export interface Part {
  /** The file that bytes are added to. */
  readonly content: string
  readonly folder: string
}

/** Takes over what an earlier process left of the download to `path`, or starts with nothing. */
export function claimPart(path: string): Part {
  const folder = ownName(`${path}.part`)
  const part = { folder, content: join(folder, 'content') }
  for (const left of leftParts(path))
    try {
      renameSync(left, folder)
      return part
    } catch (thrown) {
      // Another process was quicker.
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw explainFileError(left, thrown)
    }
  try {
    mkdirSync(folder)
  } catch (thrown) {
    throw explainFileError(folder, thrown)
  }
  return part
}

/** Leaves the part for whoever comes next. */
export function releasePart(path: string, { folder, content }: Part): void {
  if (partSize({ folder, content }) === 0) {
    removePart({ folder, content })
    return
  }
  try {
    renameSync(folder, `${path}.part`)
  } catch (thrown) {
    const { code = '' } = thrown as NodeJS.ErrnoException
    if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(code)) throw explainFileError(folder, thrown)
    // Somebody left one before: one is enough.
    removePart({ folder, content })
  }
}

/** Removes what nobody needs any more, now that the download to `path` is done. */
export function removeLeftParts(path: string): void {
  for (const left of leftParts(path)) rmSync(left, { recursive: true, force: true })
}

/** Removes a part. */
export function removePart({ folder }: Part): void {
  rmSync(folder, { recursive: true, force: true })
}

/** Bytes that are there already. */
export function partSize({ content }: Part): number {
  return statSync(content, { throwIfNoEntry: false })?.size ?? 0
}

/** What the server called this version of the file when it was begun; undefined where it did not say. */
export function validatorOf({ folder }: Part): string | undefined {
  try {
    return readFileSync(join(folder, 'validator'), 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw explainFileError(folder, thrown)
  }
}

/** Notes which version of the file is begun, before its first byte is. */
export function restartPart({ folder, content }: Part, validator: string | undefined): void {
  rmSync(content, { force: true })
  if (validator === undefined) rmSync(join(folder, 'validator'), { force: true })
  else writeAtomically(join(folder, 'validator'), validator)
}

function leftParts(path: string): string[] {
  const nobodys = `${path}.part`
  return [...(existsSync(nobodys) ? [nobodys] : []), ...abandonedNames(nobodys)]
}
