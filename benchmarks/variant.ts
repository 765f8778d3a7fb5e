// A row of the report, made of what was found out of a model and of the teacher.
import type { Evaluation } from '../tasks/task.ts'
import { latencyRatio } from './latency.ts'
import type { ProviderContext } from './provider.ts'
import type { ProviderResult, Variant } from './report/report.ts'
import type { Findings } from './subject.ts'

/** Judges a model's predictions, compares it with the teacher, and gives its row of the report. */
export function variantOf(
  found: Findings,
  teacher: Findings,
  context: Pick<ProviderContext, 'task' | 'data' | 'seed'>,
): Variant {
  const { task, data } = context
  const { path: _, ...subject } = found.subject
  const evaluation = found.predictions && task.evaluate(found.predictions, data)
  const failed = found.failed ?? (evaluation && noise(evaluation, found, teacher, context))
  return {
    ...subject,
    ...(failed !== undefined && { failed }),
    ...found.size,
    macs: found.macs,
    accuracy: evaluation?.accuracy ?? null,
    retention:
      found.predictions && teacher.predictions
        ? task.retain(teacher.predictions, found.predictions, data)
        : null,
    calibrationError: evaluation?.calibrationError ?? null,
    providers: providerResults(found, teacher, context.seed),
  }
}

/** A file that runs but says nothing is no result: its outputs are not numbers, or no better than guesses. */
function noise(
  { accuracy, undecided }: Evaluation,
  found: Findings,
  teacher: Findings,
  { task, data }: Pick<ProviderContext, 'task' | 'data'>,
): string | undefined {
  if (undecided === data.size) return 'its outputs are not finite numbers'
  const chance = task.chance(data)
  if (found === teacher || !teacher.predictions || accuracy.top1Interval[0] > chance)
    return undefined
  if (task.evaluate(teacher.predictions, data).accuracy.top1Interval[0] <= chance) return undefined
  const right = (accuracy.top1 * 100).toFixed(1)
  return `its outputs are no better than guesses: ${right} % right, guessing gives ${(chance * 100).toFixed(1)} %`
}

function providerResults(
  found: Findings,
  teacher: Findings,
  seed: number,
): Record<string, ProviderResult> {
  return Object.fromEntries(
    [...found.providers].map(([name, draft]) => {
      const own = found.headlines.get(name)
      // The teacher over itself would only show how much its runs vary.
      const reference = found === teacher ? undefined : teacher.headlines.get(name)
      const ratio = own && reference && { latencyRatio: latencyRatio(own, reference, seed) }
      return [name, { ...draft, ...ratio }]
    }),
  )
}
