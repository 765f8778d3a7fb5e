// Going through the rows of a part, one at a time, with their places for whatever is wrong in them.
import { throwIfAborted, UserError } from '../base/errors.ts'
import { DamagedError } from './damaged.ts'
import type { PreparationContext } from './prepared.ts'
import type { Part, Row } from './table.ts'

/** So many rows are gone through between two reports. */
const reportEvery = 256

/** Does something with every row in turn and gives their number; `what` tells what is being done. */
export async function eachRow(
  part: Part,
  what: string,
  { progress, signal }: Pick<PreparationContext, 'progress' | 'signal'>,
  use: (row: Row, number: number) => void | Promise<void>,
): Promise<number> {
  let number = 0
  for await (const row of part.rows()) {
    // Most features are done at once; waiting for each would cost more than they do.
    const waiting = use(row, number)
    if (waiting) await waiting
    if (++number % reportEvery === 0) {
      throwIfAborted(signal)
      progress?.(what, reportEvery)
    }
  }
  return number
}

/** Does something with a row; what is wrong with it is told with its place, or skipped. True where it was done. */
export async function atRow(
  part: Part,
  row: number,
  damaged: 'refuse' | 'skip',
  use: () => void | Promise<void>,
): Promise<boolean> {
  try {
    const waiting = use()
    if (waiting) await waiting
    return true
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    if (damaged === 'skip' && thrown instanceof DamagedError) return false
    // A file of the row's own says more.
    if (thrown.message.startsWith(part.where)) throw thrown
    const where = part.whereOf?.(row) ?? `${part.where}: row ${row + 1}`
    throw new UserError(`${where}: ${thrown.message}`, { cause: thrown })
  }
}
