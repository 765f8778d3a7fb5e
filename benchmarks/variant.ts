// A row of the report, made of what was found out of a model and of the teacher.
import type { Evaluation } from '../tasks/task.ts'
import { latencyRatio } from './latency.ts'
import type { ProviderContext } from './provider.ts'
import { reportedAccuracy, reportedRetention } from './report/metrics.ts'
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
  const evaluation = evaluationOf(found, teacher, context)
  const failed = found.failed ?? (evaluation && noise(evaluation, found, teacher, context))
  return {
    ...subject,
    ...(failed !== undefined && { failed }),
    ...found.size,
    macs: found.macs,
    accuracy: evaluation ? reportedAccuracy(evaluation) : null,
    retention:
      evaluation && found.predictions && teacher.predictions
        ? reportedRetention(task.retain(teacher.predictions, found.predictions, data), evaluation)
        : null,
    calibrationError: evaluation?.calibrationError ?? null,
    ...(found.knowledge !== undefined && { knowledge: found.knowledge }),
    providers: providerResults(found, teacher, context.seed),
  }
}

function evaluationOf(
  found: Findings,
  teacher: Findings,
  { task, data }: Pick<ProviderContext, 'task' | 'data'>,
): Evaluation | undefined {
  const { predictions } = found
  // Where the teacher is the truth, nothing can be said without it.
  const truth = teacher.predictions ?? (task.target === 'none' ? undefined : predictions)
  return predictions && truth && task.evaluate(predictions, data, truth)
}

/** A file that runs but says nothing is no result: its outputs are not numbers, or no better than guesses. */
function noise(
  { accuracy, undecided }: Evaluation,
  found: Findings,
  teacher: Findings,
  context: Pick<ProviderContext, 'task' | 'data'>,
): string | undefined {
  const { task, data } = context
  if (undecided === data.size) return 'its outputs are not finite numbers'
  const chance = task.chance(data)
  if (found === teacher || accuracy.interval[0] > chance) return undefined
  const reference = evaluationOf(teacher, teacher, context)
  if (!reference || reference.accuracy.interval[0] <= chance) return undefined
  const { metric, value } = accuracy
  return `its outputs are no better than guesses: ${metric} ${value.toFixed(3)}, guessing gives ${chance.toFixed(3)}`
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
