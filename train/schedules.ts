// Learning rate schedules: the rate of a step as a factor of the peak rate.
import {
  type NamedSchedule,
  type ScheduleName,
  type ScheduleOptions,
  schedulesByName,
} from './options.ts'

/** Where a training is. */
interface Place {
  /** 0 … steps-1 */
  readonly step: number
  readonly steps: number
  /** Share of the steps behind the warm-up that are done, 0..1. */
  readonly done: number
  /** Validation scores after the epochs that are over. */
  readonly scores: readonly number[]
}

type OptionsOf<Name extends ScheduleName> = Extract<NamedSchedule, { name: Name }>
type Shape<Name extends ScheduleName> = (place: Place, options: OptionsOf<Name>) => number

/** From 1 to 0 along half a cosine. */
const half = (done: number): number => (1 + Math.cos(Math.PI * done)) / 2
const between = (share: number, final: number): number => final + (1 - final) * share

const shapes: { readonly [Name in ScheduleName]: Shape<Name> } = {
  constant: () => 1,
  step: ({ done }, { every, factor }) => factor ** Math.floor(done / every),
  linear: ({ done }, { final }) => between(1 - done, final),
  polynomial: ({ done }, { power, final }) => between((1 - done) ** power, final),
  exponential: ({ done }, { final }) => final ** done,
  // Loshchilov and Hutter 2017, equation 5, one period.
  cosine: ({ done }, { final }) => between(half(done), final),
  // The same with periods that grow by a factor and end with the training.
  'cosine-restarts': ({ done }, { cycles, growth, final }) => {
    const lengths = Array.from({ length: cycles }, (_, cycle) => growth ** cycle)
    let left = done * lengths.reduce((sum, length) => sum + length, 0)
    for (const length of lengths) {
      if (left < length) return between(half(left / length), final)
      left -= length
    }
    return final
  },
  // Smith and Topin 2019 in two phases: the peak is in the last step of the climb, the lowest rate in the last of all.
  'one-cycle': ({ step, steps }, { warmup, anneal, startDivision, finalDivision }) => {
    const start = 1 / startDivision
    const peak = Math.max(0, warmup * steps - 1)
    const slope = anneal === 'cosine' ? half : (share: number) => 1 - share
    if (step < peak) return between(slope(1 - step / peak), start)
    return between(slope((step - peak) / Math.max(1, steps - 1 - peak)), start / finalDivision)
  },
  plateau: ({ scores }, { factor, patience, threshold, cooldown, minimum }) => {
    let [now, best, bad, cooling] = [1, Number.NEGATIVE_INFINITY, 0, 0]
    for (const score of scores) {
      const better = score > best + threshold
      if (better) best = score
      bad = better || cooling > 0 ? 0 : bad + 1
      cooling = Math.max(0, cooling - 1)
      if (bad <= patience) continue
      now = Math.max(minimum, now * factor)
      bad = 0
      cooling = cooldown
    }
    return now
  },
}

/**
 * The learning rate of step 0 … steps-1 as a factor of the peak, 0..1.
 *
 * With a warm-up the factor first climbs in a line from near 0 to 1 (Goyal et al. 2017); one-cycle has its own climb.
 * `scores` are the validation scores after each epoch that is over, larger for better; only `plateau` looks at them.
 */
export function rateFactor(
  schedule: ScheduleOptions,
  step: number,
  steps: number,
  scores: readonly number[] = [],
): number {
  const options = typeof schedule === 'string' ? schedulesByName[schedule] : schedule
  const warm = options.name === 'one-cycle' ? 0 : Math.round(options.warmup * steps)
  const done = Math.max(0, step - warm) / Math.max(1, steps - warm)
  // The shape and the options have the same name, which the compiler cannot tie together over a union.
  const shape = shapes[options.name] as Shape<ScheduleName>
  const factor = shape({ step, steps, done, scores }, options)
  return step < warm ? (factor * (step + 1)) / warm : factor
}
