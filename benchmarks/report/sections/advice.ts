// What was measured on the way and should be known, as a list.
import { adviceLines } from '../advice.ts'
import type { Block } from '../blocks.ts'
import type { Report } from '../report.ts'

/** Lists all advice; nothing where there is none. */
export function advice(report: Report): Block[] {
  const items = adviceLines(report)
  return items.length > 0 ? [{ kind: 'list', items }] : []
}
