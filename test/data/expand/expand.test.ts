import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { sampleAny, sampleDifferent } from '../../../data/expand/sample.ts'
import { expandOptions, expandTable } from '../../../data/expand.ts'
import type { ColumnType, Part, Row, Table } from '../../../data/table.ts'

type Columns = Readonly<Record<string, ColumnType>>

const partOf = (where: string, rows: readonly Row[]): Part => ({
  where,
  size: rows.length,
  rows: () => rows,
})

const tableOf = (
  columns: Columns,
  train: readonly Row[],
  more: Readonly<Partial<Record<'validation' | 'test', readonly Row[]>>> = {},
): Table => ({
  columns: Object.entries(columns).map(([name, type]) => ({ name, type })),
  train: partOf('train.csv', train),
  ...(more.validation && { validation: partOf('validation.csv', more.validation) }),
  ...(more.test && { test: partOf('test.csv', more.test) }),
})

async function rowsOf(part: Part | undefined): Promise<Row[]> {
  const rows: Row[] = []
  for await (const row of part!.rows()) rows.push(row)
  return rows
}

async function expanded(table: Table, options: Record<string, unknown>, log: string[] = []) {
  return expandTable(table, expandOptions.parse(options), { log: (line) => log.push(line) })
}

describe('pairs', () => {
  const columns: Columns = { score: 'number', one: 'text', two: 'text' }
  const pairs = { columns: ['one', 'two'] }

  it('become two rows that belong together', async () => {
    const table = await expanded(
      tableOf(columns, [
        [1, 'a', 'b'],
        [0, 'c', null],
      ]),
      { pairs },
    )
    expect(table.columns).toEqual([
      { name: 'item', type: 'text' },
      { name: 'score', type: 'number' },
    ])
    expect(table.train).toMatchObject({ group: 2, size: 4 })
    for (let time = 0; time < 2; time++)
      expect(await rowsOf(table.train)).toEqual([
        ['a', 1],
        ['b', 1],
        ['c', 0],
        [null, 0],
      ])
    expect(table.test).toBeUndefined()
  })

  it.each([
    [columns, ['one', 'tow'], /no such column: 'tow' — did you mean 'two'/],
    [columns, ['one', 'one'], /twice the same column: 'one'/],
    [columns, ['one', 'score'], /columns of different types: text and number/],
    [{ ...columns, item: 'text' }, ['one', 'two'], /needs: 'item'/],
  ] as const)('that do not fit are refused: %#', async (of, names, message) => {
    await expect(expanded(tableOf(of, []), { pairs: { columns: names } })).rejects.toThrow(message)
  })

  it('are left alone where nobody asks', async () => {
    const table = tableOf(columns, [])
    expect(await expanded(table, {})).toBe(table)
  })
})

/** Users u0… who each touched some of the items i0…; user and item have a cell of their own. */
function touches(users: number, items: number, each: number, seed = 0): Row[] {
  const chance = random(seed, 'touches')
  return Array.from({ length: users }, (_, user) =>
    [...chance.permutation(items).subarray(0, each)].map(
      (item, time): Row => [`u${user}`, `i${item}`, time, user * 10, `kind ${item}`],
    ),
  ).flat()
}

const columns: Columns = { user: 'text', item: 'text', time: 'number', age: 'number', kind: 'text' }
const options = { negatives: 2, candidates: 5, userColumns: ['age'], itemColumns: ['kind'] }

describe('interactions', () => {
  it('are held out user by user, with rivals that nobody touched', async () => {
    const rows = touches(8, 30, 6)
    const table = await expanded(tableOf(columns, rows), { interactions: options })
    expect(table.columns.map(({ name }) => name)).toEqual([
      'user',
      'item',
      'relevance',
      'age',
      'kind',
    ])
    const touched = new Set(rows.map(([user, item]) => `${user} ${item}`))
    const all = { train: 3, validation: 6, test: 6 }
    for (const [name, count] of Object.entries(all) as [keyof typeof all, number][]) {
      const part = table[name]!
      const made = await rowsOf(part)
      expect(made).toEqual(await rowsOf(part))
      expect(part.size).toBe(made.length)
      expect(made).toHaveLength((name === 'train' ? 8 * 4 : 8) * count)
      for (let at = 0; at < made.length; at += count) {
        const group = made.slice(at, at + count)
        expect(group.map((row) => row[2])).toEqual([1, ...new Array(count - 1).fill(0)])
        expect(new Set(group.map((row) => row[0])).size).toBe(1)
        for (const [user, item, relevance, age, kind] of group) {
          expect(touched.has(`${user} ${item}`)).toBe(relevance === 1)
          expect(age).toBe(Number(String(user).slice(1)) * 10)
          expect(kind).toBe(`kind ${String(item).slice(1)}`)
        }
        if (name !== 'train') expect(new Set(group.map((row) => row[1])).size).toBe(count)
      }
    }
    expect(table.train.group ?? 1).toBe(1)
    expect(table.test!.group).toBe(6)
    // Without a time, the last row is the latest.
    const positives = (made: Row[]) => made.filter((row) => row[2] === 1).map((row) => row[1])
    const lastOf = (back: number) =>
      [...Array(8).keys()].map((user) => rows[user * 6 + 5 - back]![1])
    expect(positives(await rowsOf(table.test))).toEqual(lastOf(0))
    expect(positives(await rowsOf(table.validation))).toEqual(lastOf(1))
    expect(table.test!.whereOf!(6 + 3)).toBe('train.csv: row 12')
    expect(table.train.whereOf!(3)).toBe('train.csv: row 2')
  })

  const positives = async (part: Part | undefined) =>
    (await rowsOf(part)).filter((row) => row[2] === 1).map(([user, item]) => `${user} ${item}`)

  it('go by time where it is told, and repeated ones count once', async () => {
    const rows: Row[] = [
      ['a', 'x', 9, 0, ''],
      ['a', 'y', 1, 0, ''],
      ['a', 'z', 3, 0, ''],
      ['a', 'y', 2, 0, ''],
      ['b', 'w', 1, 0, ''],
      ['b', 'v', 1, 0, ''],
    ]
    const table = await expanded(tableOf(columns, rows), {
      interactions: { time: 'time', negatives: 1, candidates: 1 },
    })
    expect(await positives(table.test)).toEqual(['a x'])
    expect(await positives(table.validation)).toEqual(['a z'])
    expect(await positives(table.train)).toEqual(['a y', 'b w', 'b v'])
  })

  it('are held out at random where that is asked for, by the seed', async () => {
    const table = tableOf(columns, touches(20, 40, 10))
    const heldOut = async (more: object) =>
      positives((await expanded(table, { interactions: { ...options, ...more } })).test)
    const last = await heldOut({})
    const drawn = await heldOut({ holdOut: 'random' })
    expect(drawn).toHaveLength(20)
    expect(drawn).not.toEqual(last)
    expect(await heldOut({ holdOut: 'random' })).toEqual(drawn)
    expect(await heldOut({ holdOut: 'random', seed: 1 })).not.toEqual(drawn)
  })

  it('of users with few of them stay in training, which is said', async () => {
    const few: Row[] = [
      ['few', 'i0', 0, 1, 'kind 0'],
      ['few', 'i1', 1, 1, 'kind 1'],
    ]
    const log: string[] = []
    const table = tableOf(columns, [...touches(4, 30, 5), ...few])
    const made = await expanded(table, { interactions: options }, log)
    expect(await positives(made.train)).toContain('few i1')
    expect(await positives(made.test)).toHaveLength(4)
    expect(log).toEqual([expect.stringMatching(/too few interactions to hold any out: 1$/)])
  })

  it('of users who touched nearly everything are not held out, which is said', async () => {
    const eager = Array.from({ length: 28 }, (_, item): Row => ['eager', `i${item}`, item, 0, ''])
    const everything = Array.from(
      { length: 30 },
      (_, item): Row => ['all', `i${item}`, item, 0, ''],
    )
    const log: string[] = []
    const table = tableOf(columns, [...touches(4, 30, 5), ...eager, ...everything])
    const made = await expanded(table, { interactions: options }, log)
    expect(await positives(made.test)).toHaveLength(4)
    const trained = await positives(made.train)
    expect(trained.filter((one) => one.startsWith('eager'))).toHaveLength(28)
    expect(trained.filter((one) => one.startsWith('all'))).toHaveLength(0)
    expect(log).toEqual([
      expect.stringMatching(/fewer than 5 items untouched: 4$/),
      expect.stringMatching(/touched every item: 30$/),
    ])
  })

  it('of a test part are the test part', async () => {
    const rows = touches(6, 30, 5)
    const test: Row[] = [
      ['u0', 'i29', 0, 0, 'kind 29'],
      [...rows[0]!],
      ['new', 'i3', 0, 7, 'kind 3'],
    ]
    const made = await expanded(tableOf(columns, rows, { test }), { interactions: options })
    expect(await positives(made.test)).toEqual(['u0 i29', `u0 ${rows[0]![1]}`, 'new i3'])
    expect(await positives(made.train)).not.toContain(`u0 ${rows[0]![1]}`)
    expect(await positives(made.validation)).toHaveLength(6)
    expect(made.test!.whereOf!(12)).toBe('test.csv: row 3')
    for (const [user, item, relevance] of await rowsOf(made.train))
      if (relevance === 0) expect(`${user} ${item}`).not.toBe('u0 i29')
  })

  it.each([
    [{ user: 'usr' }, /no such column: 'usr' — did you mean 'user'/],
    [{ user: 'item' }, /named twice: 'item'/],
    [{ time: 'kind' }, /column 'kind' is of a type that does not do: text/],
    [{ candidates: 30 }, /nothing is left for validation: .* lower candidates \(30\)/],
  ])('that do not fit are refused: %j', async (more, message) => {
    await expect(
      expanded(tableOf(columns, touches(4, 30, 5)), { interactions: { ...options, ...more } }),
    ).rejects.toThrow(message)
  })

  it.each([
    [[null, 'i', 0, 0, ''], undefined, /train.csv: row 1: an interaction without its user/],
    [['u', 'i', null, 0, ''], 'time', /row 1: an interaction without its time/],
  ] as [Row, string | undefined, RegExp][])(
    'with gaps are refused: %#',
    async (row, time, message) => {
      const interactions = time === undefined ? options : { ...options, time }
      await expect(expanded(tableOf(columns, [row]), { interactions })).rejects.toThrow(message)
    },
  )

  it('that are none are refused', async () => {
    await expect(expanded(tableOf(columns, []), { interactions: options })).rejects.toThrow(
      /nothing is left for train: 0 interactions/,
    )
  })
})

describe('sampling', () => {
  it('draws untouched items alone, each as likely', () => {
    const touched = Int32Array.of(0, 3, 4, 9)
    const chance = random(0, 'test')
    const counts = new Map<number, number>()
    for (let time = 0; time < 3000; time++) {
      const drawn = sampleDifferent(touched, 10, 3, chance)
      expect(new Set(drawn).size).toBe(3)
      for (const item of drawn) counts.set(item, (counts.get(item) ?? 0) + 1)
    }
    expect([...counts.keys()].sort()).toEqual([1, 2, 5, 6, 7, 8])
    for (const count of counts.values()) expect(Math.abs(count - 1500)).toBeLessThan(150)
    expect(sampleDifferent(touched, 10, 6, chance).sort()).toEqual([1, 2, 5, 6, 7, 8])
    expect(new Set(sampleAny(touched, 10, 500, chance))).toEqual(new Set([1, 2, 5, 6, 7, 8]))
  })
})
