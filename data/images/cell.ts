// The bytes of the image that a cell holds or names.
import { readFile, stat } from 'node:fs/promises'
import { DamagedError } from '../damaged.ts'
import { asDamaged, pathInside } from '../inside-folder.ts'
import type { Cell } from '../table.ts'

const maximumBytes = 2 ** 28

/** What is known of the cells of a column. */
export interface CellFacts {
  readonly column: string
  /** The folder that paths in cells are relative to. */
  readonly folder: string | undefined
}

/**
 * Reads the file of a cell, or gives its bytes, with a name for messages.
 *
 * A path in a cell stays inside the folder, through symbolic links too; a file that cannot be read is a
 * {@link DamagedError}.
 */
export async function readCell(
  cell: Cell,
  { column, folder }: CellFacts,
): Promise<{ readonly bytes: Uint8Array; readonly name: string }> {
  if (cell instanceof Uint8Array) return { bytes: cell, name: `column '${column}'` }
  if (typeof cell === 'string') {
    const name = await pathInside(cell, column, folder)
    return { bytes: await readImageFile(name), name }
  }
  if (cell !== null && typeof cell === 'object' && 'path' in cell)
    return { bytes: await readImageFile(cell.path), name: cell.path }
  throw new DamagedError(
    `column '${column}': no image: ${cell === null ? 'the cell is empty' : `a ${Array.isArray(cell) ? 'list' : typeof cell}`} — give a file, a path or the bytes of one`,
  )
}

async function readImageFile(path: string): Promise<Uint8Array> {
  try {
    const found = await stat(path)
    if (!found.isFile() || found.size > maximumBytes)
      throw new DamagedError(
        found.isFile()
          ? `${path}: too long for an image: ${found.size} bytes — replace the file`
          : `${path}: not a regular file — name an image`,
      )
    return await readFile(path)
  } catch (thrown) {
    throw asDamaged(path, thrown)
  }
}
