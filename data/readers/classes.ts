// Names of classes, and labels that are checked against them.
import { join } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { claimedSizeBytes, listFolder, readWhole } from './files.ts'

const maximumBytes = 1 << 16

/**
 * Reads the names of the classes from the first of these files that the folder holds, one name a
 * line.
 *
 * Gives `undefined` where there is none; an empty file or a name that comes twice is a {@link
 * UserError}.
 */
export async function readClasses(
  folder: string,
  names: readonly string[],
): Promise<string[] | undefined> {
  const present = await listFolder(folder)
  const name = names.find((name) => present.includes(name))
  if (name === undefined) return undefined
  const path = join(folder, name)
  const size = await claimedSizeBytes(path)
  if (size > maximumBytes)
    throw new UserError(`${path}: too long for a list of classes: ${size} bytes — check the file`)
  const lines = new TextDecoder().decode(await readWhole(path, size)).split(/\r?\n/)
  const classes = lines.map((line) => line.trim()).filter((line) => line !== '')
  if (classes.length === 0) throw new UserError(`${path}: names no class — write one name a line`)
  const twice = classes.find((name, index) => classes.indexOf(name) !== index)
  if (twice !== undefined)
    throw new UserError(`${path}: a class is named twice: '${twice}' — make the names different`)
  return classes
}

/** The numbers 0 … count-1 as names, for data that names no classes. */
export function numberedClasses(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index))
}

/**
 * Checks that each label is an index into the classes; the {@link UserError} names file, index
 * and value.
 */
export function checkLabels(path: string, labels: ArrayLike<number>, classes: number): void {
  for (let index = 0; index < labels.length; index++)
    if (labels[index]! >= classes)
      throw new UserError(
        `${path}: label of sample ${index} is none of the ${classes} classes: ${labels[index]} — labels are 0 to ${classes - 1}; correct the labels or name the classes in classes.txt`,
      )
}
