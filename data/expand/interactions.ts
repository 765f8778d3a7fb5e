// Implicit feedback: who touched what becomes right answers among items that were never touched (He et al. 2017).
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { type Random, random } from '../../base/random.ts'
import { suggest } from '../../base/suggest.ts'
import type { ColumnType, Part, Row, Table } from '../table.ts'
import {
  type InteractionColumns,
  type Interactions,
  type PartName,
  partNames,
  readInteractions,
} from './read-interactions.ts'
import { sampleAny, sampleDifferent } from './sample.ts'

const column = z.string().min(1)

/** Schema of `data.interactions`. */
export const interactionsOptions = z.strictObject({
  user: column.default('user').describe('The column that says who.'),
  item: column.default('item').describe('The column that says what.'),
  time: column
    .optional()
    .describe('A column of numbers that says when; unless told, later rows are later.'),
  userColumns: z
    .array(column)
    .default([])
    .describe('Further columns that say something of the user; the last row of a user counts.'),
  itemColumns: z
    .array(column)
    .default([])
    .describe('Further columns that say something of the item; the last row of an item counts.'),
  negatives: z
    .int()
    .min(0)
    .max(1000)
    .default(4)
    .describe('Items that the user never touched, sampled for each interaction in training.'),
  candidates: z
    .int()
    .min(1)
    .max(10_000)
    .default(99)
    .describe('Different items that the user never touched, ranked against each held-out one.'),
  holdOut: z
    .enum(['last', 'random'])
    .default('last')
    .describe('Which interactions of each user are held out: the last ones, or any.'),
  seed: z.int().min(0).default(0).describe('Settles what is sampled and held out.'),
})

type InteractionsOptions = z.output<typeof interactionsOptions>

/** The column that is added: 1 for what the user touched, 0 for what was sampled. */
const relevanceColumn = 'relevance'

const maximumInMemory = 1 << 20

/**
 * Makes a table for ranking of rows that say who touched what.
 *
 * The last interaction of each user is for testing, the one before for validation, all others for training; where the
 * table has a test or validation part, that is taken instead. A pair that is repeated counts once, the last time.
 * In training each interaction is followed by `negatives` sampled items (drawn with replacement); in the other parts by
 * `candidates` different ones, and 1 + candidates consecutive rows belong together (`group`), the right answer first.
 * Sampled items are never ones that the user touched in any part. The same rows come each time. Columns: user, item,
 * `relevance`, then those named in `userColumns` and `itemColumns`.
 *
 * Users with too few interactions stay in training alone, as do those with fewer than `candidates` untouched items;
 * users who touched everything are left out of training: no contrast can be sampled. Each is said in the log.
 * Held are some integers an interaction and the named cells of each user and item.
 */
export async function expandInteractions(
  table: Table,
  options: InteractionsOptions,
  { log }: { readonly log: (line: string) => void },
): Promise<Table> {
  const columns = checkedColumns(table, options)
  const all = await readInteractions(table, columns)
  const roles = settledRoles(table, all, options, log)
  const { negatives, candidates, seed } = options
  const itemCount = all.itemNames.length
  const part = (name: PartName, count: number, sample: typeof sampleAny): Omit<Part, 'group'> => {
    const interactions = withRole(roles, name)
    return {
      where: table[name]?.where ?? table.train.where,
      whereOf: (row) => all.whereOf(interactions[Math.floor(row / (1 + count))]!),
      size: interactions.length * (1 + count),
      *rows() {
        const randomly = random(seed, 'interactions', name)
        for (const interaction of interactions) {
          const user = all.users[interaction]!
          const row = (item: number, relevance: number): Row => [
            all.userNames[user]!,
            all.itemNames[item]!,
            relevance,
            ...all.userCells[user]!,
            ...all.itemCells[item]!,
          ]
          yield row(all.items[interaction]!, 1)
          for (const item of sample(all.touched(user), itemCount, count, randomly))
            yield row(item, 0)
        }
      },
    }
  }
  const ranking = (name: PartName): Part => ({
    ...part(name, candidates, sampleDifferent),
    group: 1 + candidates,
  })
  const at = [columns.user, columns.item]
  const beside = [...columns.ofUser, ...columns.ofItem]
  const parts = {
    train: part('train', negatives, sampleAny),
    validation: ranking('validation'),
    test: ranking('test'),
  }
  const rows = Object.values(parts).reduce((sum, { size }) => sum + size!, 0)
  return {
    columns: [
      ...at.map((place) => table.columns[place]!),
      { name: relevanceColumn, type: 'number' },
      ...beside.map((place) => table.columns[place]!),
    ],
    ...parts,
    // The rows cost next to nothing, but the records of very many belong into a file.
    inMemory: table.inMemory === true || rows <= maximumInMemory,
  }
}

function checkedColumns(table: Table, options: InteractionsOptions): InteractionColumns {
  const names = table.columns.map(({ name }) => name)
  const place = (name: string, types: readonly ColumnType[]): number => {
    const at = names.indexOf(name)
    if (at < 0)
      throw new UserError(`data.interactions: no such column: '${name}' — ${suggest(name, names)}`)
    const { type } = table.columns[at]!
    if (!types.includes(type))
      throw new UserError(
        `data.interactions: column '${name}' is of a type that does not do: ${type} — name one of ${types.join(' or ')}`,
      )
    return at
  }
  const { user, item, time, userColumns, itemColumns } = options
  const used = [user, item, ...userColumns, ...itemColumns, relevanceColumn]
  const twice = used.find((name, at) => used.indexOf(name) !== at)
  if (twice !== undefined)
    throw new UserError(
      `data.interactions: a column is named twice: '${twice}' — name each once ('${relevanceColumn}' is added)`,
    )
  for (const name of partNames) {
    const part = table[name]
    if (part !== undefined && (part.group ?? 1) !== 1)
      throw new UserError(
        `data.interactions: ${part.where}: rows belong together already: ${part.group} — leave interactions out`,
      )
  }
  const identifiers = ['number', 'text'] as const
  const kept = ['number', 'text', 'list', 'file', 'bytes', 'tensor'] as const
  return {
    user: place(user, identifiers),
    item: place(item, identifiers),
    ...(time !== undefined && { time: place(time, ['number']) }),
    ofUser: userColumns.map((name) => place(name, kept)),
    ofItem: itemColumns.map((name) => place(name, kept)),
  }
}

/** Says of each interaction which part it belongs to, 0 for none; what is left out or moved is logged. */
function settledRoles(
  table: Table,
  all: Interactions,
  options: InteractionsOptions,
  log: (line: string) => void,
): Uint8Array {
  const { candidates, negatives, seed, holdOut } = options
  const roles = new Uint8Array(all.users.length)
  // The last one is for testing, the one before for validation.
  const wanted = (['test', 'validation'] as const).filter((name) => table[name] === undefined)
  const randomly = random(seed, 'interactions', 'hold out')
  const lost = { few: 0, unranked: 0, alone: 0 }
  for (const user of all.userNames.keys()) {
    const history = all.history(user)
    for (const interaction of history) roles[interaction] = roleOf(all.partOf(interaction))
    const untouched = all.itemNames.length - history.length
    const trained = history.filter((interaction) => all.partOf(interaction) === 'train')
    if (untouched < candidates) {
      for (const interaction of history)
        if (roles[interaction] !== roleOf('train')) {
          roles[interaction] = 0
          lost.unranked++
        }
      if (wanted.length > 0) lost.unranked += trained.length > wanted.length ? wanted.length : 0
    } else if (trained.length > wanted.length) {
      const order =
        holdOut === 'last' ? trained.toReversed() : pick(trained, wanted.length, randomly)
      for (const [at, name] of wanted.entries()) roles[order[at]!] = roleOf(name)
    } else if (trained.length > 0 && wanted.length > 0) lost.few++
    if (untouched === 0 && negatives > 0)
      for (const interaction of trained) {
        roles[interaction] = 0
        lost.alone++
      }
  }
  if (lost.few > 0)
    log(`data.interactions: users with too few interactions to hold any out: ${lost.few}`)
  if (lost.unranked > 0)
    log(
      `data.interactions: interactions not held out, for their users left fewer than ${candidates} items untouched: ${lost.unranked}`,
    )
  if (lost.alone > 0)
    log(
      `data.interactions: interactions left out, for their users touched every item: ${lost.alone}`,
    )
  for (const name of partNames)
    if (!roles.includes(roleOf(name)))
      throw new UserError(
        `data.interactions: nothing is left for ${name}: ${all.users.length} interactions, ${all.userNames.length} users, ${all.itemNames.length} items — bring more, or lower candidates (${candidates})`,
      )
  return roles
}

const roleOf = (name: PartName) => 1 + partNames.indexOf(name)

/** The interactions of a part in the order of their rows. */
function withRole(roles: Uint8Array, name: PartName): Int32Array {
  const role = roleOf(name)
  const found = new Int32Array(roles.reduce((count, each) => count + Number(each === role), 0))
  let next = 0
  for (const [interaction, each] of roles.entries()) if (each === role) found[next++] = interaction
  return found
}

/** Some of the values, drawn without replacement. */
function pick(values: Int32Array, count: number, randomly: Random): Int32Array {
  const order = values.slice()
  for (let at = 0; at < count; at++) {
    const other = at + randomly.integer(order.length - at)
    const kept = order[at]!
    order[at] = order[other]!
    order[other] = kept
  }
  return order
}
