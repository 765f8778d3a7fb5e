// A row of the report, made of what was found out of a model and of the teacher.
import type { Evaluation } from '../tasks/task.ts'
import { latencyRatio, type Rounds } from './latency.ts'
import type { ProviderContext } from './provider.ts'
import { reportedAccuracy, reportedRetention } from './report/metrics.ts'
import type { ProviderResult, Variant } from './report/report.ts'
import type { Findings, TimedSetting } from './subject.ts'

/** Judges a model's predictions, compares it with the teacher, the first of all, and gives its row of the report. */
export function variantOf(
  found: Findings,
  all: readonly Findings[],
  context: Pick<ProviderContext, 'task' | 'data' | 'seed'> & {
    /** False where outputs say nothing of how good a model is. */
    readonly judged: boolean
  },
): Variant {
  const { task, data } = context
  const teacher = all[0]!
  const { path: _, ...subject } = found.subject
  const evaluation = context.judged ? evaluationOf(found, teacher, context) : undefined
  const failed = found.failed ?? (evaluation && noise(evaluation, found, teacher, context))
  return {
    ...subject,
    ...(failed !== undefined && { failed }),
    ...found.size,
    macs: found.macs,
    ...(found.bytesMoved !== null && { bytesMoved: found.bytesMoved }),
    accuracy: evaluation ? reportedAccuracy(evaluation) : null,
    retention:
      evaluation && found.predictions && teacher.predictions
        ? reportedRetention(task.retain(teacher.predictions, found.predictions, data), evaluation)
        : null,
    calibrationError: evaluation?.calibrationError ?? null,
    ...(found.knowledge !== undefined && { knowledge: found.knowledge }),
    ...(found.layers && { layers: found.layers }),
    providers: providerResults(found, all, context.seed),
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
  all: readonly Findings[],
  seed: number,
): Record<string, ProviderResult> {
  const [teacher] = all
  const source = all.find(({ subject }) => subject.id === found.subject.from)
  const over = (own: Rounds | undefined, reference: Rounds | undefined) =>
    own && reference && latencyRatio(own, reference, seed)
  return Object.fromEntries(
    [...found.providers].map(([name, draft]) => {
      const timed = found.timed.get(name)
      if (!timed) return [name, draft]
      // The teacher over itself would only show how much its runs vary.
      const others = found === teacher ? undefined : teacher?.timed.get(name)
      const { coldStart } = draft
      const headline = timed.find(isHeadline)?.rounds
      const ratio = over(headline, others?.find(isHeadline)?.rounds)
      const sourceRatio = over(headline, source?.timed.get(name)?.find(isHeadline)?.rounds)
      const startRatio = others && over(found.starts.get(name), teacher?.starts.get(name))
      return [
        name,
        {
          ...draft,
          ...(ratio && { latencyRatio: ratio }),
          ...(sourceRatio && { sourceRatio }),
          ...(coldStart && startRatio && { coldStart: { ...coldStart, ratio: startRatio } }),
          measurements: timed.map(({ rounds, summary }) => {
            const same = others?.find((other) => settingOf(other) === settingOf({ summary }))
            const latencyRatio = over(rounds, same?.rounds)
            return { ...summary, ...(latencyRatio && { latencyRatio }) }
          }),
        },
      ]
    }),
  )
}

const settingOf = ({ summary: { batch, threads } }: Pick<TimedSetting, 'summary'>): string =>
  `${batch}, ${threads}`

/** One sample, on one thread or as many as the provider takes. */
const isHeadline = ({ summary: { batch, threads } }: TimedSetting): boolean =>
  batch === 1 && threads <= 1
