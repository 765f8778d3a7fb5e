// From tables to records: what is learned from where, and what becomes of rows that are damaged.
import { describe, expect, it } from '@jest/globals'
import { Interrupted, UserError } from '../../base/errors.ts'
import { prepareTable } from '../../data/prepare.ts'
import { memoryWriter } from '../../data/store.ts'
import type { Row } from '../../data/table.ts'
import {
  columnOf,
  featuresOf,
  labelsIn,
  partOf,
  plainOptions,
  prepared,
  tableOf,
} from './tables.ts'

const columns = { x: 'number', label: 'text' } as const

/** Rows with their own number, and classes in turn. */
const rows = (count: number, classes: readonly string[] = ['a', 'b']): Row[] =>
  Array.from({ length: count }, (_, index) => [index, classes[index % classes.length]!])

/** Classes that are known whatever the rows say. */
const known = { classes: ['a', 'b'] }

async function complaint(run: Promise<unknown>): Promise<string> {
  const thrown = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(thrown).toBeInstanceOf(UserError)
  const { message } = thrown as UserError
  expect(message).toMatch(/^.+: .+ — .+[^.]$/)
  return message
}

const flat = (values: readonly (readonly number[])[]) => values.map(([first]) => first!)

describe('splits', () => {
  it('share no row and lose none where nothing is but a training part', async () => {
    const found = await prepared(tableOf(columns, rows(100)))
    const [train, validation, test] = (['train', 'validation', 'test'] as const).map((split) =>
      flat(columnOf(found, split, 'x')),
    )
    expect([train!.length, validation!.length, test!.length]).toEqual([64, 16, 20])
    expect([...train!, ...validation!, ...test!].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 100 }, (_, index) => index),
    )
    for (const split of ['train', 'validation', 'test'] as const)
      for (const [at, label] of labelsIn(found, split).entries())
        expect(label).toBe(columnOf(found, split, 'x')[at]![0]! % 2)
    expect(flat(columnOf(found, 'calibration', 'x')).every((x) => train!.includes(x))).toBe(true)
  })

  it('are the parts of the table where it has them', async () => {
    const table = tableOf(columns, rows(20), {
      validation: partOf('validation.csv', [[-1, 'a']]),
      test: partOf('test.csv', [
        [-2, 'b'],
        [-3, 'a'],
      ]),
    })
    const found = await prepared(table)
    expect(flat(columnOf(found, 'train', 'x'))).toHaveLength(20)
    expect(columnOf(found, 'validation', 'x')).toEqual([[-1]])
    expect(columnOf(found, 'test', 'x')).toEqual([[-2], [-3]])
    expect(labelsIn(found, 'test')).toEqual([1, 0])
  })

  it('hold out the same rows for tests, whatever the seed', async () => {
    const one = await prepared(tableOf(columns, rows(50)), { seed: 1 })
    const other = await prepared(tableOf(columns, rows(50)), { seed: 2 })
    expect(columnOf(one, 'test', 'x')).toEqual(columnOf(other, 'test', 'x'))
    expect(columnOf(one, 'validation', 'x')).not.toEqual(columnOf(other, 'validation', 'x'))
  })

  it('keep what belongs together whole, also where tests are limited', async () => {
    const together = partOf('train.csv', rows(40), { group: 4 })
    const found = await prepared(tableOf(columns, together), { testLimit: 6, trainLimit: 18 })
    expect(found.parts.train!.group).toBe(4)
    for (const split of ['train', 'validation', 'test', 'calibration'] as const) {
      const values = flat(columnOf(found, split, 'x'))
      expect(values.length % 4).toBe(0)
      for (let at = 0; at < values.length; at += 4)
        expect(values.slice(at, at + 4)).toEqual([0, 1, 2, 3].map((n) => values[at]! + n))
      expect(values[0]! % 4).toBe(0)
    }
    expect(columnOf(found, 'test', 'x')).toHaveLength(4)
  })

  it('can miss a class, which keeps its number', async () => {
    const rare: Row[] = [...rows(30, ['a', 'c']), [99, 'b']]
    const test = partOf('test.csv', [[1, 'c']])
    const found = await prepared(tableOf(columns, rare, { test }))
    expect(found.classes).toEqual(['a', 'b', 'c'])
    expect(labelsIn(found, 'test')).toEqual([2])
    expect(found.lines).toContainEqual(expect.stringMatching(/test split.*2 of 3.*'a', 'b'/))
  })

  it.each([
    ['no row', 0, 'holds no samples'],
    ['one row', 1, 'too few samples for training, validation and test: 1'],
    ['two rows', 2, 'too few samples for training, validation and test: 2'],
  ])('of %s are refused', async (_, count, what) => {
    const table = tableOf(columns, rows(count), known)
    expect(await complaint(prepared(table))).toContain(`train.csv: ${what}`)
  })

  it('of one row with a test part lack validation', async () => {
    const table = tableOf(columns, rows(1), { ...known, test: partOf('test.csv', rows(1)) })
    expect(await complaint(prepared(table))).toContain('too few training samples')
  })

  it('of one row work where all parts are given', async () => {
    const part = partOf('other.csv', rows(1))
    const found = await prepared(
      tableOf(columns, rows(1), { ...known, test: part, validation: part }),
    )
    expect(columnOf(found, 'train', 'x')).toEqual([[0]])
  })

  it('of three rows are one each', async () => {
    const found = await prepared(tableOf(columns, rows(3)))
    for (const split of ['train', 'validation', 'test'] as const)
      expect(columnOf(found, split, 'x')).toHaveLength(1)
  })

  it('with an empty test part are refused', async () => {
    const table = tableOf(columns, rows(10), { test: partOf('test.csv', []) })
    expect(await complaint(prepared(table))).toBe('test.csv: holds no samples — check the file')
  })
})

describe('what features learn', () => {
  it('is what the rows of the training split say, and no other', async () => {
    // Everybody outside the training split of the first run gets a number that would show in any mean.
    const features = featuresOf({ f: { kind: 'table', columns: ['x'] } })
    const first = await prepared(tableOf(columns, rows(100)), { features })
    const chosen = new Set(first.splits.train.indices)
    const changed = rows(100).map(
      ([x, label], index): Row => [chosen.has(index) ? x! : 1e9, label!],
    )
    const second = await prepared(tableOf(columns, changed), { features })
    expect(second.learned).toEqual(first.learned)
    const values = [...chosen]
    const mean = values.reduce((sum, value) => sum + value) / values.length
    const std = Math.sqrt(
      values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length,
    )
    const [[found]] = [columnOf(first, 'test', 'f')]
    const [testRow] = first.splits.test.indices
    expect(found![0]).toBeCloseTo((testRow! - mean) / std, 5)
  })

  it('leaves out rows beyond the limit of training', async () => {
    const features = featuresOf({ f: { kind: 'category', column: 'word' } })
    const table = tableOf(
      { word: 'text', label: 'text' },
      Array.from({ length: 40 }, (_, index): Row => [`w${index}`, index % 2 ? 'a' : 'b']),
    )
    const found = await prepared(table, { features, trainLimit: 10 })
    const { f } = found.learned as { f: { categories: readonly string[] } }
    expect(f.categories.length).toBe(found.splits.train.indices.length)
    expect(found.splits.train.indices.length).toBe(8)
  })

  it('is JSON', async () => {
    const features = featuresOf({ f: { kind: 'table', columns: ['x'] } })
    const { learned } = await prepared(tableOf(columns, rows(20)), { features })
    expect(JSON.parse(JSON.stringify(learned))).toEqual(learned)
  })
})

/** Rows 4 and 11 have no class; the first of them in group 1 (of 3), the second in group 3. */
const withHoles = (count = 30) =>
  rows(count).map(([x, label], index): Row => [x!, index === 4 || index === 11 ? null : label!])

describe('damaged rows', () => {
  it('are refused with their place', async () => {
    expect(await complaint(prepared(tableOf(columns, withHoles())))).toMatch(
      /^train\.csv: row 5: column 'label': no class: it is missing — /,
    )
    const whereOf = (row: number) => `train.csv: line ${row + 2}`
    const part = partOf('train.csv', withHoles(), { whereOf })
    expect(await complaint(prepared(tableOf(columns, part)))).toMatch(/^train\.csv: line 6: /)
  })

  it('are left out and counted where that is asked for', async () => {
    const found = await prepared(tableOf(columns, withHoles()), { damaged: 'skip' })
    expect(found.lines).toEqual(['train.csv: 2 of 30 samples are damaged and left out'])
    const left = (['train', 'validation', 'test'] as const).flatMap((split) =>
      flat(columnOf(found, split, 'x')),
    )
    expect(left.sort((a, b) => a - b)).toEqual(
      Array.from({ length: 30 }, (_, index) => index).filter((n) => n !== 4 && n !== 11),
    )
  })

  it('take what belongs to them along', async () => {
    const part = partOf('train.csv', withHoles(), { group: 3 })
    const found = await prepared(tableOf(columns, part), { damaged: 'skip' })
    expect(found.lines).toEqual(['train.csv: 6 of 30 samples are damaged and left out'])
    const left = (['train', 'validation', 'test'] as const).flatMap((split) =>
      flat(columnOf(found, split, 'x')),
    )
    expect(left.sort((a, b) => a - b)).toEqual(
      Array.from({ length: 30 }, (_, index) => index).filter(
        (n) => Math.floor(n / 3) !== 1 && Math.floor(n / 3) !== 3,
      ),
    )
  })

  it('of the test part are left out as well, and leave no trace in its records', async () => {
    const test = partOf('test.csv', [
      [7, 'a'],
      [8, 'never seen'],
      [9, 'b'],
    ])
    const found = await prepared(tableOf(columns, rows(20), { test }), { damaged: 'skip' })
    expect(found.lines).toEqual(['test.csv: 1 of 3 samples are damaged and left out'])
    expect(columnOf(found, 'test', 'x')).toEqual([[7], [9]])
    expect(labelsIn(found, 'test')).toEqual([0, 1])
  })

  it('may not be all of a part', async () => {
    const test = partOf('test.csv', [[7, null]])
    const table = tableOf(columns, rows(20), { test })
    expect(await complaint(prepared(table, { damaged: 'skip' }))).toContain(
      'test.csv: none of the 1 samples can be read',
    )
  })

  it('do not hide what is wrong with the recipe', async () => {
    const features = featuresOf({ x: { kind: 'tensor', column: 'y' } })
    const run = prepared(tableOf(columns, rows(20)), { features, damaged: 'skip' })
    expect(await complaint(run)).toContain("'y'")
  })
})

describe('classes', () => {
  it('of the test part that training lacks are named', async () => {
    const table = tableOf(columns, rows(20, ['cat', 'dog']), {
      test: partOf('test.csv', [[1, 'catt']]),
    })
    expect(await complaint(prepared(table))).toMatch(
      /^test\.csv: row 1: column 'label': a class that the training data does not have: 'catt' — .*cat/,
    )
  })

  it.each([3, -1, 0.5])('out of range are named: %p', async (label) => {
    const table = {
      ...tableOf({ x: 'number', label: 'number' }, [...rowsOfNumbers(20), [20, label]]),
      classes: ['a', 'b', 'c'],
    }
    expect(await complaint(prepared(table))).toContain(
      `label is none of the 3 classes: ${label} — labels are 0 to 2`,
    )
  })
})

const rowsOfNumbers = (count: number): Row[] =>
  Array.from({ length: count }, (_, index) => [index, index % 3])

describe('cells', () => {
  it('that are missing are refused where a number must be, with their place', async () => {
    const holes: Row[] = [...rows(10), [null, 'a']]
    expect(await complaint(prepared(tableOf(columns, holes)))).toMatch(
      /^train\.csv: row 11: column 'x': missing/,
    )
  })

  it('that are missing are the mean, and told, where a table takes them', async () => {
    const holes: Row[] = [...rows(30), [null, 'a'], [null, 'b'], [null, 'a'], [null, 'b']]
    const features = featuresOf({ f: { kind: 'table', columns: ['x'] } })
    const found = await prepared(tableOf(columns, holes), { features })
    const vectors = (['train', 'validation', 'test'] as const).flatMap((split) =>
      columnOf(found, split, 'f'),
    )
    expect(vectors.flat().every(Number.isFinite)).toBe(true)
    expect(vectors.filter(([, told]) => told === 1)).toEqual(new Array(4).fill([0, 1]))
  })
})

describe('preparation', () => {
  it('ends when it is told to', async () => {
    const run = prepareTable(tableOf(columns, rows(1000)), plainOptions, {
      write: (part, layout) => memoryWriter(layout, part),
      log: () => undefined,
      signal: AbortSignal.abort(),
    })
    await expect(run).rejects.toThrow(Interrupted)
  })

  it('tells how many rows went through', async () => {
    const seen = new Map<string, number>()
    await prepareTable(tableOf(columns, rows(600)), plainOptions, {
      write: (part, layout) => memoryWriter(layout, part),
      log: () => undefined,
      progress: (what, count) => seen.set(what, (seen.get(what) ?? 0) + count),
    })
    expect(Object.fromEntries(seen)).toEqual({ labels: 512, learning: 512, train: 512 })
  })

  it('takes rows that come one by one from elsewhere, as many as there are', async () => {
    async function* slowly() {
      for (const row of rows(2000)) yield row
    }
    const found = await prepared(tableOf(columns, { where: 'stream', rows: slowly }))
    expect(found.parts.train!.store.size).toBe(2000)
    expect(found.parts.train!.labels).toHaveLength(2000)
  })
})
