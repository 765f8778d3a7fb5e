// Variants compared with each other, sample by sample: what a test of either against the teacher cannot tell.
import type { ProviderContext } from './provider.ts'
import { mainFigure } from './report/metrics.ts'
import type { Rival, Variant } from './report/report.ts'
import type { Findings } from './subject.ts'

/** Ids of the variants that a variant is compared with besides the one that it was made from, by its own. */
export type Rivals = Readonly<Record<string, readonly string[]>>

/** What was measured of all models, the teacher first, and what is known of their answers. */
interface Measured {
  readonly rows: readonly Variant[]
  readonly findings: readonly Findings[]
}

/**
 * Compares a variant with the one that it was made from and with its rivals; undefined where none of them was judged.
 *
 * The teacher is no rival: what is left of it is told of every variant.
 */
export function rivalsOf(
  { id, from }: Variant,
  rivals: Rivals,
  { rows, findings }: Measured,
  { task, data }: Pick<ProviderContext, 'task' | 'data'>,
): Record<string, Rival> | undefined {
  const names = new Set(Object.hasOwn(rivals, id) ? rivals[id]! : [])
  if (from !== null) names.add(from)
  names.delete(rows[0]!.id)
  const judged = (name: string) => {
    const accuracy = rows.find((row) => row.id === name)?.accuracy
    const predictions = findings.find(({ subject }) => subject.id === name)?.predictions
    return accuracy && predictions && { score: mainFigure(accuracy).value, predictions }
  }
  const own = judged(id)
  const compared = [...names].flatMap((name) => {
    const other = judged(name)
    if (!own || !other) return []
    const { p, agreement, klDivergence } = task.retain(other.predictions, own.predictions, data)
    const rival: Rival = { difference: own.score - other.score, p, agreement, klDivergence }
    return [[name, rival] as const]
  })
  return compared.length > 0 ? Object.fromEntries(compared) : undefined
}
