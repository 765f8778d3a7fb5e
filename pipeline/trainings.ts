// What the steps of a recipe train with, and which of them can be compared: the same student with a teacher and without.
import { hashOf } from '../base/hash.ts'
import type { TaughtPair } from '../benchmarks/report/advice.ts'
import { type TaskName, tasks } from '../tasks/index.ts'
import { comparesWith, type LossOptions, needsTeacher } from '../train/losses.ts'
import type { Step } from './recipe.ts'

/** The losses of every phase of a step's training, in order; empty where it trains with none of its own. */
export function phasesOf(step: Step, task: TaskName): readonly (readonly LossOptions[])[] {
  if (step.stage === 'train') return [step.losses ?? tasks[task].losses]
  if (step.stage !== 'distill') return []
  const losses = step.losses ?? tasks[task].distillation
  return step.phases ? step.phases.map((phase) => phase.losses ?? losses) : [losses]
}

/** Pairs of steps that train the same student from the same start, one with a teacher and one without. */
export function taughtPairs(steps: readonly Step[], task: TaskName): TaughtPair[] {
  const trained = steps.flatMap((step) => {
    const phases = phasesOf(step, task)
    return phases.length === 0
      ? []
      : [{ id: step.id, start: startOf(step), isTaught: phases.some(isTaughtBy) }]
  })
  return trained.flatMap(({ id: taught, start, isTaught }) =>
    isTaught
      ? trained
          .filter((other) => !other.isTaught && other.start === start)
          .map(({ id: plain }) => ({ taught, plain }))
      : [],
  )
}

/** True where a teacher, or a peer, is listened to. */
const isTaughtBy = (losses: readonly LossOptions[]): boolean =>
  needsTeacher(losses) || comparesWith(losses, 'peers')

/** What a training starts from: a student of its own, or the variant before. */
const startOf = (step: Step): string =>
  hashOf('student' in step && step.student ? { student: step.student } : { from: step.from })
