// Variants compared with each other, sample by sample: what a test of either against the teacher cannot tell.
import type { ProviderContext } from './provider.ts'
import type { Rival } from './report/report.ts'
import type { Findings } from './subject.ts'

/** Ids of the variants that a variant is compared with, by its own. */
export type Rivals = Readonly<Record<string, readonly string[]>>

/** Compares a model with those that it is to be compared with; undefined where there are none, or one has no outputs. */
export function rivalsOf(
  found: Findings,
  rivals: Rivals,
  all: readonly Findings[],
  { task, data }: Pick<ProviderContext, 'task' | 'data'>,
): Record<string, Rival> | undefined {
  const { id } = found.subject
  const own = found.predictions
  const teacher = all[0]?.predictions
  if (!own || !teacher || !Object.hasOwn(rivals, id)) return undefined
  const scoreOf = (predictions: typeof own) =>
    task.evaluate(predictions, data, teacher).accuracy.value
  const compared = rivals[id]!.flatMap((name) => {
    const other = all.find(({ subject }) => subject.id === name)?.predictions
    if (!other) return []
    const { p, agreement, klDivergence } = task.retain(other, own, data)
    const rival: Rival = { difference: scoreOf(own) - scoreOf(other), p, agreement, klDivergence }
    return [[name, rival] as const]
  })
  return compared.length > 0 ? Object.fromEntries(compared) : undefined
}
