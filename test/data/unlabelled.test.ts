// Samples without labels beside a data set, prepared as its own are.
import { readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import type { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { joined } from '../../data/joined.ts'
import { type OpenOptions, openData } from '../../data/open.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { dataOptions } from '../../data/sources.ts'
import { rowsOf } from '../support/numbers.ts'
import { smallIdx, temporaryFolders, writeFiles } from './support.ts'

const folder = temporaryFolders()

type Options = z.input<typeof dataOptions>

/** Opens data as a recipe does, and tells what was logged. */
async function open(options: Options, rest: Partial<OpenOptions> = {}) {
  const lines: string[] = []
  const found = await openData(dataOptions.parse(options), {
    ...{ cacheFolder: folder(), seed: 1, target: 'class', version: 'test' },
    preprocess: preprocessOptions.parse({}),
    log: (line) => lines.push(line),
    ...rest,
  })
  return { ...found, lines }
}

const csv = (
  rows: number,
  of: (row: number) => readonly (string | number)[],
  ...columns: string[]
) =>
  [columns, ...Array.from({ length: rows }, (_, row) => of(row))]
    .map((cells) => cells.join(','))
    .join('\n')

/** 40 rows with labels; 12 without, whose columns stand in another order and are others in part. */
function files(more = csv(12, (row) => [row, `n${row}`, 100 + row], 'size', 'name', 'weight')) {
  const home = writeFiles(folder(), {
    'known.csv': csv(
      40,
      (row) => [row, row % 8, row % 2 ? 'odd' : 'even'],
      'weight',
      'size',
      'kind',
    ),
    'more.csv': more,
  })
  const known = { format: 'csv', path: join(home, 'known.csv'), target: 'kind' } as const
  return { home, known, unlabelled: { format: 'csv', path: join(home, 'more.csv') } as const }
}

describe('samples without labels', () => {
  it('are prepared as the others are, with what was learned from those', async () => {
    const { known, unlabelled } = files()
    const [alone, both] = [await open(known), await open({ ...known, unlabelled })]
    expect(alone.splits.unlabelled).toBeUndefined()
    for (const name of ['train', 'validation', 'test'] as const)
      expect(both.splits[name].fingerprint).toBe(alone.splits[name].fingerprint)
    expect(both.fingerprint).not.toBe(alone.fingerprint)
    const { unlabelled: added, train } = both.splits
    expect([...added!.labels]).toEqual(Array(12).fill(-1))
    expect(added!.columns).toEqual(train.columns)
    // Both columns are scaled by the mean and deviation of the training samples.
    const scaled = (column: number) => {
      const rows = [...train.recipe.indices].map((index) => [index, index % 8][column]!)
      const mean = rows.reduce((sum, value) => sum + value) / rows.length
      const deviation = Math.sqrt(
        rows.reduce((sum, value) => sum + (value - mean) ** 2, 0) / rows.length,
      )
      return (value: number) => (value - mean) / deviation
    }
    for (const [row, [weight, size]] of rowsOf(added!, 'features').entries()) {
      expect(weight).toBeCloseTo(scaled(0)(100 + row), 4)
      expect(size).toBeCloseTo(scaled(1)(row), 4)
    }
    expect(joined(train, added!).size).toBe(train.size + 12)
    expect(both.lines.at(-1)).toMatch(/^data.unlabelled: 12 samples from .*more.csv$/)
  })

  it('are found in the cache until their files change', async () => {
    const { known, unlabelled } = files()
    const cacheFolder = folder()
    const options = { ...known, unlabelled }
    const first = await open(options, { cacheFolder })
    const prepared = () => readdirSync(join(cacheFolder, 'prepared'))
    const second = await open(options, { cacheFolder })
    expect(prepared()).toHaveLength(1)
    expect([second.fingerprint, second.lines]).toEqual([first.fingerprint, first.lines])
    expect(rowsOf(second.splits.unlabelled!, 'features')).toEqual(
      rowsOf(first.splits.unlabelled!, 'features'),
    )
    writeFileSync(
      unlabelled.path,
      csv(9, (row) => [row, row], 'weight', 'size'),
    )
    utimesSync(unlabelled.path, 5000, 5000)
    const third = await open(options, { cacheFolder })
    expect(prepared()).toHaveLength(2)
    expect(third.splits.unlabelled!.size).toBe(9)
    expect(third.splits.train.fingerprint).toBe(first.splits.train.fingerprint)
  })

  it('are as many as is asked for, by seed', async () => {
    const { known, unlabelled } = files()
    const few = { ...known, unlabelled: { ...unlabelled, limit: 5 } }
    const [one, two, other] = [await open(few), await open(few), await open(few, { seed: 2 })]
    const chosen = ({ splits }: typeof one) => [...splits.unlabelled!.recipe.indices]
    expect(chosen(one)).toHaveLength(5)
    expect(chosen(one)).toEqual(chosen(one).toSorted((a, b) => a - b))
    expect(chosen(two)).toEqual(chosen(one))
    expect(chosen(other)).not.toEqual(chosen(one))
  })

  it('are left out where they are damaged, if that is asked for', async () => {
    const { known, unlabelled } = files(
      csv(6, (row) => [row, row === 2 ? '' : row], 'weight', 'size'),
    )
    const features = { size: { kind: 'tensor', column: 'size' } } as const
    const skipping = { ...known, features, unlabelled: { ...unlabelled, damaged: 'skip' } as const }
    const { splits, lines } = await open(skipping)
    expect([...splits.unlabelled!.recipe.indices]).toEqual([0, 1, 3, 4, 5])
    expect(lines.at(-1)).toMatch(/^data.unlabelled: 5 samples from/)
    await expect(open({ ...known, features, unlabelled })).rejects.toThrow(
      /more\.csv: line 4: .*'size'/,
    )
  })

  it('may be images in memory', async () => {
    const path = writeFiles(folder(), smallIdx)
    const other = writeFiles(folder(), smallIdx)
    const { splits } = await open({
      format: 'idx',
      path,
      unlabelled: { format: 'idx', path: other },
    })
    expect(splits.unlabelled!.size).toBe(6)
    const both = joined(splits.train, splits.unlabelled!)
    expect(rowsOf(both, 'image').slice(splits.train.size)).toEqual(
      rowsOf(splits.unlabelled!, 'image'),
    )
  })

  it('may come from a module', async () => {
    const { home, known } = files()
    const source = join(home, 'more.mjs')
    writeFileSync(source, 'export const train = [{ weight: 1, size: 2 }, { size: 3, weight: 4 }]')
    const { splits, lines } = await open({ ...known, unlabelled: { source } })
    expect(splits.unlabelled!.size).toBe(2)
    expect(lines).toContain(`${source}: the code of this module is run`)
  })

  it('become pairs where the others do', async () => {
    const { known, unlabelled } = files(csv(4, (row) => [row, 9, 'odd'], 'weight', 'size', 'kind'))
    const { splits } = await open(
      { ...known, target: 'target', pairs: { columns: ['weight', 'size'] }, unlabelled },
      { target: 'none' },
    )
    expect(splits.unlabelled).toMatchObject({ size: 8, group: 2 })
    expect(joined(splits.train, splits.unlabelled!).group).toBe(2)
  })
})

describe('one-line errors', () => {
  const refused = async (
    options: (given: ReturnType<typeof files>) => Options,
    message: RegExp,
  ) => {
    const found = open(options(files()))
    await expect(found).rejects.toThrow(UserError)
    await expect(found).rejects.toThrow(message)
  }

  it.each<[string, (given: ReturnType<typeof files>) => Options, RegExp]>([
    [
      'files that are the data itself',
      ({ known }) => ({ ...known, unlabelled: { format: 'csv', path: known.path } }),
      /^data\.unlabelled: is the data itself: .*known\.csv — name other files, or leave it out$/,
    ],
    [
      'files that are not there',
      ({ known }) => ({ ...known, unlabelled: { format: 'csv', path: '/nowhere.csv' } }),
      /^data\.unlabelled\.path: no such file or folder: '\/nowhere\.csv' — check the path$/,
    ],
  ])('%s', (_, options, message) => refused(options, message))

  it('columns that features read are missing', async () => {
    const { known, unlabelled } = files(csv(4, (row) => [row], 'weight'))
    await expect(open({ ...known, unlabelled })).rejects.toThrow(
      /^data\.unlabelled: .*more\.csv: has no column 'size' — known: weight$/,
    )
  })

  it('columns hold other things', async () => {
    const { known, unlabelled } = files(csv(4, (row) => [row, 'x'], 'weight', 'size'))
    await expect(open({ ...known, unlabelled })).rejects.toThrow(
      /^data\.unlabelled: .*more\.csv: column 'size' holds text, that of the data number — mend the files$/,
    )
  })

  it.each<[unknown, string, RegExp]>([
    [{}, 'unlabelled', /give a 'source'/],
    [{ format: 'csv' }, 'unlabelled.path', /needs the 'path'/],
    [{ source: 'mnits' }, 'unlabelled.source', /expected one of/],
    [{ source: 'mnist', limit: 0 }, 'unlabelled.limit', />=1/],
    [{ source: 'mnist', target: 'x' }, 'unlabelled', /Unrecognized key/],
    [{ source: 'mnist', path: 'x' }, 'unlabelled.path', /goes with 'format'/],
  ])('%j is refused at %s', (unlabelled, path, message) => {
    const { error } = dataOptions.safeParse({ source: 'digits', unlabelled })
    expect(error?.issues[0]?.path.join('.')).toBe(path)
    expect(error?.issues[0]?.message).toMatch(message)
  })

  it('are refused beside interactions', () => {
    const { error } = dataOptions.safeParse({
      ...{ format: 'csv', path: 'a.csv', interactions: {} },
      unlabelled: { format: 'csv', path: 'b.csv' },
    })
    expect(error?.issues[0]?.message).toMatch(/^interactions have no samples without labels/)
  })
})
