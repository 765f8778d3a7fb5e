import { describe, expect, it } from '@jest/globals'
import {
  generatedInteractions,
  generatedTable,
} from '../../../data/readers/generated-interactions.ts'
import type { Row } from '../../../data/table.ts'

const rowsOf = (options: object): Row[] => [
  ...(generatedTable(generatedInteractions.options.parse(options)).train.rows() as Iterable<Row>),
]

describe('generated interactions', () => {
  it('are the same each time, and others by another seed', () => {
    const small = { users: 20, items: 30, interactionsPerUser: 10 }
    const rows = rowsOf(small)
    expect(rowsOf(small)).toEqual(rows)
    expect(rowsOf({ ...small, seed: 1 })).not.toEqual(rows)
  })

  it('have about as many a user as asked for, each once', () => {
    const rows = rowsOf({ users: 200, items: 100, interactionsPerUser: 20 })
    expect(new Set(rows.map(([user]) => user)).size).toBe(200)
    expect(new Set(rows.map(([user, item]) => `${user} ${item}`)).size).toBe(rows.length)
    expect(Math.abs(rows.length / 200 - 20)).toBeLessThan(2)
  })

  it('favour the popular and those whose tastes agree', () => {
    const rows = rowsOf({ users: 500, items: 100, popularity: 1, noise: 0.3 })
    const count = (wanted: (item: number) => boolean) =>
      rows.filter(([, item]) => wanted(Number(String(item).slice(1)))).length
    expect(count((item) => item < 20)).toBeGreaterThan(2 * count((item) => item >= 80))
    // Age is the first hidden taste of a user, 'book' the items that have most of it.
    const shareOfBooks = (wanted: (age: number) => boolean) => {
      const of = rows.filter((row) => wanted(row[3] as number))
      return of.filter((row) => row[4] === 'book').length / of.length
    }
    expect(shareOfBooks((age) => age > 50)).toBeGreaterThan(1.5 * shareOfBooks((age) => age < 30))
  })

  it('are fewer where there are not so many items', () => {
    expect(
      rowsOf({ users: 1, items: 2, factors: 1, interactionsPerUser: 50, noise: 0 }),
    ).toHaveLength(2)
  })
})
