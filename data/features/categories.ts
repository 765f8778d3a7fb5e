// Which categories a column has, and how often: learned from training, most frequent first.
import { UserError } from '../../base/errors.ts'
import { DamagedError } from '../damaged.ts'
import type { Cell } from '../table.ts'

/** So many different values are counted; a column with more is no category. */
const maximumDistinct = 1_000_000

/** What was learned of a column of categories. */
export interface Categories {
  /** Those that have a place of their own, most frequent first, equals in the order of their text. */
  readonly categories: readonly string[]
  /** Whether training had others, too rare or beyond the maximum. */
  readonly hasOthers: boolean
  /** Whether training had missing cells. */
  readonly hasMissing: boolean
}

/** Counts the values of a column. */
export function categoriesCollector(column: string): {
  add(cell: Cell): void
  finish(maximum: number, minimumCount: number): Categories
} {
  const counts = new Map<string, number>()
  let hasMissing = false
  return {
    add(cell) {
      const name = categoryOf(cell, column)
      if (name === undefined) {
        hasMissing = true
        return
      }
      counts.set(name, (counts.get(name) ?? 0) + 1)
      if (counts.size > maximumDistinct)
        throw new UserError(
          `column '${column}': more than ${maximumDistinct} different values — leave it out, or read it as numbers or text`,
        )
    },
    finish(maximum, minimumCount) {
      const kept = [...counts]
        .filter(([, count]) => count >= minimumCount)
        .sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1))
        .slice(0, maximum)
      const categories = kept.map(([name]) => name)
      return { categories, hasOthers: kept.length < counts.size, hasMissing }
    },
  }
}

/** The category that a cell names; undefined where it is missing. */
export function categoryOf(cell: Cell, column: string): string | undefined {
  if (cell === null) return undefined
  if (typeof cell === 'string') return cell
  if (typeof cell === 'number') return String(cell)
  throw new DamagedError(`column '${column}': no category — categories are texts or numbers`)
}
