// The sound that a cell holds or names.
import { UserError } from '../../base/errors.ts'
import { DamagedError } from '../damaged.ts'
import type { CellFacts } from '../images/cell.ts'
import { pathInside } from '../inside-folder.ts'
import type { Cell } from '../table.ts'
import { type ByteSource, memorySource, withFileSource } from './byte-source.ts'

/**
 * Gives the bytes of a cell's file to a function: a file, a path inside the folder, or the content itself.
 *
 * What cannot be read is a {@link DamagedError}.
 */
export async function withSound<Result>(
  cell: Cell,
  { column, folder }: CellFacts,
  use: (source: ByteSource) => Promise<Result>,
): Promise<Result> {
  if (cell instanceof Uint8Array) return await use(memorySource(`column '${column}'`, cell))
  if (typeof cell === 'string') return await read(await pathInside(cell, column, folder), use)
  if (cell !== null && typeof cell === 'object' && 'path' in cell) return await read(cell.path, use)
  const found =
    cell === null ? 'the cell is empty' : `a ${Array.isArray(cell) ? 'list' : typeof cell}`
  throw new DamagedError(
    `column '${column}': no sound: ${found} — give a file, a path or the bytes of one`,
  )
}

async function read<Result>(
  path: string,
  use: (source: ByteSource) => Promise<Result>,
): Promise<Result> {
  let opened = false
  try {
    return await withFileSource(path, (source) => {
      opened = true
      return use(source)
    })
  } catch (thrown) {
    // A file that cannot be opened is the sample's fault; what is wrong with the options is not.
    if (opened || !(thrown instanceof UserError)) throw thrown
    throw new DamagedError(thrown.message, { cause: thrown })
  }
}
