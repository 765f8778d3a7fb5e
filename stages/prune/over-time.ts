// Pruning over time: which of the options for it go together, and which schedule they come to.
import { settleCriterion } from './criteria.ts'
import { familyOf } from './mask-structures.ts'
import type { PruneOptions } from './options.ts'
import { type ScheduleOptions, scheduleOptions } from './schedule.ts'

/** True where scores come from a training that is under way. */
const isMoved = (options: PruneOptions): boolean =>
  settleCriterion(options, familyOf(options)).row.needs === 'training'

/** When weights go, where that is little by little: a criterion that a training accumulates needs time for it. */
export const scheduleFor = (options: PruneOptions): ScheduleOptions | undefined =>
  options.schedule ?? (isMoved(options) ? scheduleOptions.parse({ begin: 0.1 }) : undefined)

type Use = 'steps' | 'schedule' | 'regrow' | 'rewind' | 'reconstruct' | 'recalibrate'

/** What does not go together, and which of the two is told of. */
const apart: readonly (readonly [told: Use, other: Use])[] = [
  ['schedule', 'steps'],
  ['regrow', 'steps'],
  ['regrow', 'schedule'],
  ['rewind', 'schedule'],
  ['rewind', 'regrow'],
  // Both set right what a cut has left, before recovery.
  ['reconstruct', 'schedule'],
  ['recalibrate', 'schedule'],
  ['reconstruct', 'rewind'],
  ['recalibrate', 'rewind'],
]

/** Says what of pruning over time does not go together. */
export function timeProblems(
  options: PruneOptions,
): { readonly path: string; readonly message: string }[] {
  const { recover, steps = 1, criterion } = options
  const moved = isMoved(options)
  const used = (use: Use) =>
    use === 'steps' ? steps > 1 : options[use] !== undefined && options[use] !== false
  const problems = apart
    .filter(([told, other]) => used(told) && used(other))
    .map(([told, other]) => ({ path: told as string, message: `does not go with ${other}` }))
  const refuse = (path: string, message: string) => problems.push({ path, message })
  for (const use of ['steps', 'schedule', 'regrow', 'rewind'] as const)
    if (used(use) && !recover)
      refuse(use, 'happens while the model recovers — give recover as well')
  if (moved && familyOf(options) !== 'weights')
    refuse('criterion', `'${criterion}' looks at a training, during which nothing can be cut out`)
  else if (moved && !recover)
    refuse('criterion', `'${criterion}' looks at a training — give recover as well`)
  for (const [told, other] of moved ? apart : [])
    if ((other === 'schedule' && used(told)) || (told === 'schedule' && used(other)))
      refuse(
        other === 'schedule' ? told : other,
        `does not go with criterion '${criterion}', which has a schedule`,
      )
  if (recover && steps > recover.epochs)
    refuse(
      'steps',
      `more than the epochs of recover, of which each step takes its share: ${steps} of ${recover.epochs}`,
    )
  return problems
}
