// Learning rate schedules: the rate of a step as a factor of the peak rate.
import type { ScheduleOptions } from './options.ts'

interface Shape {
  readonly every: number
  readonly factor: number
  readonly final: number
}

/** Factors by the share of the steps that are done, 0..1. */
const shapes: Readonly<
  Record<'constant' | 'step' | 'cosine', (done: number, shape: Shape) => number>
> = {
  constant: () => 1,
  step: (done, { every, factor }) => factor ** Math.floor(done / every),
  // Loshchilov and Hutter 2017, equation 5, one period.
  cosine: (done, { final }) => final + ((1 - final) * (1 + Math.cos(Math.PI * done))) / 2,
}

/**
 * The learning rate of step 0 … steps-1 as a factor of the peak, 0..1.
 *
 * With a warm-up the factor first climbs in a line from near 0 to 1 (Goyal et al. 2017).
 */
export function rateFactor(schedule: ScheduleOptions, step: number, steps: number): number {
  const options = typeof schedule === 'string' ? { name: schedule } : schedule
  const { name, warmup, every, factor, final } = {
    ...{ warmup: 0, every: 0.33, factor: 0.1, final: 0 },
    ...options,
  }
  const warm = Math.round(warmup * steps)
  if (step < warm) return (step + 1) / warm
  return shapes[name]((step - warm) / Math.max(1, steps - warm), { every, factor, final })
}
