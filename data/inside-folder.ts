// Paths that stand in data: they stay inside a folder, and a file that cannot be opened is the sample's own fault.
import { realpath } from 'node:fs/promises'
import { isAbsolute, relative, resolve, sep } from 'node:path'
import { UserError } from '../base/errors.ts'
import { explainFileError } from '../base/files.ts'
import { DamagedError } from './damaged.ts'

/**
 * The file that a path in a cell of a column names.
 *
 * One that leads out of the folder, through symbolic links too, is a {@link UserError}; one that is not there a
 * {@link DamagedError}.
 */
export async function pathInside(
  text: string,
  column: string,
  folder: string | undefined,
): Promise<string> {
  if (folder === undefined)
    throw new UserError(
      `column '${column}': holds paths, and no folder is known that they are relative to: '${text}' — give folder`,
    )
  const path = resolve(folder, text)
  const outside = () =>
    new UserError(
      `column '${column}': a path leads out of the folder ${folder}: '${text}' — give another folder, or paths inside it`,
    )
  if (isAbsolute(text) || leadsOut(resolve(folder), path)) throw outside()
  try {
    if (leadsOut(await realpath(folder), await realpath(path))) throw outside()
  } catch (thrown) {
    throw asDamaged(path, thrown)
  }
  return path
}

/** Whether a path is not inside a folder. */
export function leadsOut(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)
}

/** Turns an error of the file system into a {@link DamagedError}; anything else is returned as it is. */
export function asDamaged(path: string, thrown: unknown): unknown {
  const explained = explainFileError(path, thrown)
  return explained === thrown || !(explained instanceof UserError)
    ? thrown
    : new DamagedError(explained.message, { cause: thrown })
}
