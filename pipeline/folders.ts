// Folders that a run writes to.
import { accessSync, constants, existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { explainFileError, makeFolder } from '../base/files.ts'

/** Makes a folder and its parents; a {@link UserError} says why it cannot, or why nothing can be written there. */
export function makeWritable(folder: string): void {
  try {
    // Of a read-only file system mkdir only says that the folder is not there.
    accessSync(nearestExisting(resolve(folder)), constants.W_OK)
  } catch (thrown) {
    throw explainFileError(folder, thrown)
  }
  makeFolder(folder)
}

const nearestExisting = (path: string): string =>
  existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path))
