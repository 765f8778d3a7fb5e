// The rows of an interactions table as integers.
import { UserError } from '../../base/errors.ts'
import type { Cell, Part, Row, Table } from '../table.ts'

/** Parts in the order in which their interactions are numbered. */
export const partNames = ['train', 'validation', 'test'] as const

/** The name of a part. */
export type PartName = (typeof partNames)[number]

/** Where things stand in a row. */
export interface InteractionColumns {
  readonly user: number
  readonly item: number
  readonly time?: number | undefined
  readonly ofUser: readonly number[]
  readonly ofItem: readonly number[]
}

/** All interactions of a table, numbered part after part in the order of their rows. */
export interface Interactions {
  /** The user and the item of each interaction. */
  readonly users: Int32Array
  readonly items: Int32Array
  /** By user and by item: what they are called, and the cells that say something of them. */
  readonly userNames: readonly (number | string)[]
  readonly itemNames: readonly (number | string)[]
  readonly userCells: readonly Row[]
  readonly itemCells: readonly Row[]
  partOf(interaction: number): PartName
  whereOf(interaction: number): string
  /** A user's interactions, each item once, by part and then by time; the later of equal ones is there. */
  history(user: number): Int32Array
  /** The items that a user touched in any part, ascending. */
  touched(user: number): Int32Array
}

/** Goes once through a table; what lacks a user, an item or a time is a {@link UserError} with its place. */
export async function readInteractions(
  table: Table,
  columns: InteractionColumns,
): Promise<Interactions> {
  const users = growing(Int32Array)
  const items = growing(Int32Array)
  const times = growing(Float64Array)
  const who = numbering()
  const what = numbering()
  const starts: { readonly name: PartName; readonly part: Part; readonly start: number }[] = []
  for (const name of partNames) {
    const part = table[name]
    if (part === undefined) continue
    const start = users.length()
    starts.push({ name, part, start })
    for await (const row of part.rows()) {
      const [user, item] = [row[columns.user]!, row[columns.item]!]
      const time = columns.time === undefined ? 0 : row[columns.time]!
      const place = () => rowPlace(part, users.length() - start)
      if (!isName(user)) throw missing(place(), 'user')
      if (!isName(item)) throw missing(place(), 'item')
      if (typeof time !== 'number') throw missing(place(), 'time')
      users.push(who.number(user, row, columns.ofUser))
      items.push(what.number(item, row, columns.ofItem))
      if (columns.time !== undefined) times.push(time)
    }
  }
  const startOf = (interaction: number) =>
    starts.findLast(({ start }) => start <= interaction) ?? starts[0]!
  const user = users.values()
  const item = items.values()
  const time = times.values()
  const { order, offsets, touched } = byUser(user, item, who.cells.length, (a, b) => {
    const parts = startOf(a).start - startOf(b).start
    return parts || (columns.time === undefined ? 0 : time[a]! - time[b]!) || a - b
  })
  return {
    users: user,
    items: item,
    userNames: who.names,
    itemNames: what.names,
    userCells: who.cells,
    itemCells: what.cells,
    partOf: (interaction) => startOf(interaction).name,
    whereOf(interaction) {
      const { part, start } = startOf(interaction)
      return rowPlace(part, interaction - start)
    },
    history: (of) => order.subarray(offsets[2 * of]!, offsets[2 * of + 1]!),
    touched: (of) => touched.subarray(offsets[2 * of]!, offsets[2 * of + 1]!),
  }
}

/** Sorts interactions by user, leaves out all but the last of equal ones, and lists each user's items. */
function byUser(
  users: Int32Array,
  items: Int32Array,
  userCount: number,
  compare: (a: number, b: number) => number,
) {
  const ends = new Int32Array(userCount + 1)
  for (const user of users) ends[user + 1]!++
  for (let user = 0; user < userCount; user++) ends[user + 1]! += ends[user]!
  const next = ends.slice()
  const sorted = new Int32Array(users.length)
  for (const [interaction, user] of users.entries()) sorted[next[user]!++] = interaction
  const order = new Int32Array(users.length)
  const touched = new Int32Array(users.length)
  // Begin and end of each user: where items are repeated there are gaps.
  const offsets = new Int32Array(2 * userCount)
  for (let user = 0; user < userCount; user++) {
    const start = ends[user]!
    const history = sorted.subarray(start, ends[user + 1]!).sort(compare)
    const seen = new Set<number>()
    const kept = history.toReversed().filter((interaction) => {
      const item = items[interaction]!
      if (seen.has(item)) return false
      seen.add(item)
      return true
    })
    order.set(kept.reverse(), start)
    touched.set(Int32Array.from(seen).sort(), start)
    offsets[2 * user] = start
    offsets[2 * user + 1] = start + kept.length
  }
  return { order, offsets, touched }
}

/** Numbers names in the order in which they come, and keeps the last cells that were said of each. */
function numbering() {
  const numbers = new Map<number | string, number>()
  const names: (number | string)[] = []
  const cells: Row[] = []
  return {
    names,
    cells,
    number(name: number | string, row: Row, columns: readonly number[]): number {
      const known = numbers.get(name)
      const number = known ?? numbers.size
      if (known === undefined) {
        numbers.set(name, number)
        names.push(name)
      }
      if (known === undefined || columns.length > 0) cells[number] = columns.map((at) => row[at]!)
      return number
    },
  }
}

const isName = (cell: Cell): cell is number | string =>
  typeof cell === 'number' || typeof cell === 'string'

function rowPlace(part: Part, row: number): string {
  return part.whereOf?.(row) ?? `${part.where}: row ${row + 1}`
}

function missing(place: string, what: string): UserError {
  return new UserError(
    `${place}: an interaction without its ${what}: nothing there — fill it in, or leave the row out`,
  )
}

/** A typed array that grows. */
function growing<Values extends Int32Array | Float64Array>(make: new (length: number) => Values) {
  let held = new make(1024)
  let length = 0
  return {
    length: () => length,
    push(value: number) {
      if (length === held.length) {
        const larger = new make(2 * length)
        larger.set(held)
        held = larger
      }
      held[length++] = value
    },
    values: () => held.subarray(0, length) as Values,
  }
}
