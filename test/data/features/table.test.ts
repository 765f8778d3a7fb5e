import { describe, expect, it } from '@jest/globals'
import { momentsCollector } from '../../../data/features/moments.ts'
import { table } from '../../../data/features/table.ts'
import type { Row, TableColumn } from '../../../data/table.ts'
import { learn } from './encoded.ts'

const columns: TableColumn[] = [
  { name: 'age', type: 'number' },
  { name: 'job', type: 'text' },
  { name: 'gain', type: 'number' },
  { name: 'label', type: 'text' },
]

const rows: Row[] = [
  [20, 'cook', 0, 'no'],
  [30, 'cook', 10, 'yes'],
  [40, null, 1000, 'no'],
  [null, 'smith', 0, 'no'],
]

// numpy.std([20, 30, 40]) and of the logarithms numpy.log1p([0, 10, 1000, 0]).
const ageStd = 8.16496580927726
const logMean = 2.3266625130283978
const logStd = 2.820787148204079

describe('a table as one vector', () => {
  it('standardises numbers, writes categories one-hot and tells what is missing', async () => {
    const { encoder, encode } = await learn(table, {}, columns, rows, ['label'])
    // age, age missing; cook, smith, job missing; gain.
    expect(encoder.outputs).toEqual([{ suffix: '', dtype: 'float32', shape: [6] }])
    expect((await encode(rows[0]!)).slice(0, 5)).toEqual([Math.fround(-10 / ageStd), 0, 1, 0, 0])
    expect((await encode(rows[2]!)).slice(0, 5)).toEqual([Math.fround(10 / ageStd), 0, 0, 0, 1])
    expect((await encode(rows[3]!)).slice(0, 5)).toEqual([0, 1, 0, 1, 0])
  })

  it('writes zeros for a category that training has not, where training had no rare ones', async () => {
    const { encode } = await learn(table, { columns: ['job'] }, columns, rows)
    expect(await encode([1, 'pilot', 1, 'no'])).toEqual([0, 0, 0])
    expect(await encode([1, null, 1, 'no'])).toEqual([0, 0, 1])
  })

  it('gathers rare and unseen categories in one place, where training had rare ones', async () => {
    const many = ['a', 'a', 'a', 'b', 'b', 'c'].map((job): Row => [1, job, 1, 'no'])
    for (const options of [{ maximum: 2 }, { minimumCount: 2 }]) {
      const { encode } = await learn(table, { columns: ['job'], ...options }, columns, many)
      const codes = []
      for (const job of ['a', 'b', 'c', 'unseen', null]) codes.push(await encode([1, job, 1, 'no']))
      expect(codes).toEqual([
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 1],
        [0, 0, 0],
      ])
    }
  })

  it('takes logarithms, and leaves numbers as they are when told', async () => {
    const { encode } = await learn(table, { columns: ['gain'], log: ['gain'] }, columns, rows)
    const expected = Math.fround((Math.log1p(10) - logMean) / logStd)
    expect((await encode(rows[1]!))[0]).toBeCloseTo(expected, 6)
    const raw = await learn(
      table,
      { columns: ['gain', 'age'], standardise: false, missing: 'mean' },
      columns,
      rows,
    )
    expect(await raw.encode(rows[3]!)).toEqual([0, 30])
  })

  it('takes numbers for categories when told', async () => {
    const { encode } = await learn(
      table,
      { columns: ['gain'], categories: ['gain'] },
      columns,
      rows,
    )
    expect(await encode([1, 'x', 1000, 'no'])).toEqual([0, 0, 1])
  })

  it('only shifts a column that is constant, and one with a single row', async () => {
    const one = await learn(table, { columns: ['age'] }, columns, [[7, 'a', 0, 'no']])
    expect(await one.encode([7, 'a', 0, 'no'])).toEqual([0])
    expect(await one.encode([9, 'a', 0, 'no'])).toEqual([2])
  })

  it('is nothing but zeros for a column that is missing in all of training', async () => {
    const { encode } = await learn(table, { columns: ['age'] }, columns, [[null, 'a', 0, 'no']])
    expect(await encode([null, 'a', 0, 'no'])).toEqual([0, 1])
  })

  it.each<[string, object, RegExp]>([
    ['an unknown column', { columns: ['agee'] }, /no column 'agee' — did you mean 'age'/],
    ['the target', { columns: ['age', 'label'] }, /column 'label' is the target — /],
    ['a column twice', { columns: ['age', 'age'] }, /column 'age' is named twice/],
    ['a logarithm of texts', { log: ['job'] }, /no logarithm of the categories of column 'job'/],
    ['options of other columns', { columns: ['age'], log: ['gain'] }, /'gain' is not among/],
  ])('refuses %s', async (_name, options, message) => {
    const refused = learn(table, options, columns, rows, ['label'])
    await expect(refused).rejects.toThrow(message)
    await expect(refused).rejects.toMatchObject({ name: 'UserError' })
  })

  it('refuses numbers without logarithm, and those beyond float32', async () => {
    const negative = learn(table, { columns: ['age'], log: ['age'] }, columns, [[-1, 'a', 0, 'no']])
    await expect(negative).rejects.toThrow(/column 'age': no logarithm of 1 \+ -1 — /)
    const raw = await learn(table, { columns: ['age'], standardise: false }, columns, rows)
    await expect(raw.encode([1e39, 'a', 0, 'no'])).rejects.toThrow(/beyond what a float32 holds/)
  })

  it('keeps the spread of numbers that are large beside it', () => {
    const collector = momentsCollector()
    for (let index = 0; index < 100_000; index++) collector.add(1e9 + (index % 2))
    const { mean, std } = collector.finish()
    expect(mean).toBeCloseTo(1e9 + 0.5, 6)
    expect(std).toBeCloseTo(0.5, 9)
  })
})
