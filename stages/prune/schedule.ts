// When weights go: how much of what is to go is gone at which time, and the options of pruning over time.
import { z } from 'zod'

const share = z.number().min(0).max(1)

/** How much of what is to go is gone, 0..1, at a time 0..1, for a final sparsity; by name. */
export const scheduleForms = {
  /** The same number of weights each time. */
  linear: (time: number) => time,
  /** 1 - (1 - t)³: many at first, few at the end (Zhu and Gupta 2017, equation 1, from a sparsity of 0). */
  cubic: (time: number) => 1 - (1 - time) ** 3,
  /** What remains falls by the same factor each time: it is (1 - s)ᵗ of all weights. */
  exponential: (time: number, sparsity: number) => (1 - (1 - sparsity) ** time) / sparsity,
} as const satisfies Record<string, (time: number, sparsity: number) => number>

/** The name of a form. */
export type ScheduleForm = keyof typeof scheduleForms

const begin = share.describe('When the first weights go, as a share of recover.')

/** Options of a schedule. */
export const scheduleOptions = z
  .strictObject({
    name: z
      .enum(Object.keys(scheduleForms) as [ScheduleForm, ...ScheduleForm[]])
      .default('cubic')
      .describe('How sparsity grows.'),
    begin: begin.default(0),
    end: share.default(0.7).describe('When the last weights go, as a share of recover.'),
    every: share.default(0.02).describe('Time from one time to the next, as a share of recover.'),
  })
  .refine(({ begin: first, end }) => first <= end, {
    path: ['end'],
    message: 'comes before begin',
  })

/** A schedule, resolved. */
export type ScheduleOptions = z.output<typeof scheduleOptions>

/** Options of growing weights back. */
export const regrowOptions = z.strictObject({
  share: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.3)
    .describe('Share of the living weights of a layer that move at first; falls to 0.'),
  end: share.default(0.75).describe('When the last weights move, as a share of recover.'),
  every: share.default(0.02).describe('Time from one move to the next, as a share of recover.'),
})

/** How weights grow back, resolved. */
export type RegrowOptions = z.output<typeof regrowOptions>

/** Options of pruning over time, a part of those of the stage. */
export const scheduleShape = {
  steps: z
    .int()
    .min(1)
    .optional()
    .describe(
      'Prunes in so many steps, each followed by its share of the epochs of recover; 1 unless given.',
    ),
  schedule: scheduleOptions
    .optional()
    .describe(
      'Weights go little by little while the model recovers. Criterion movement has one of its own, which begins at 0.1, unless given.',
    ),
  regrow: regrowOptions
    .optional()
    .describe(
      'RigL: while the model recovers, the smallest living weights die and the dead ones with the largest gradients come back.',
    ),
  rewind: z
    .string()
    .optional()
    .describe(
      'Id of an earlier variant whose weights the model goes back to before it recovers, without those that are gone (lottery tickets).',
    ),
} as const

/** Updates of a training between a first and a last one, at even distances; numbers count what was done before. */
export interface Times {
  readonly first: number
  readonly last: number
  readonly every: number
}

/** Turns shares of a training of so many updates into numbers; the last is one that still comes. */
export function timesOf(
  { begin: start = 0, end, every }: { begin?: number; end: number; every: number },
  updates: number,
): Times {
  const within = (time: number) => Math.max(0, Math.min(updates - 1, Math.floor(time * updates)))
  return {
    first: within(start),
    last: within(end),
    every: Math.max(1, Math.round(every * updates)),
  }
}

/** True for the first, the last, and every so many in between. */
export const isTime = ({ first, last, every }: Times, update: number): boolean =>
  update === last || (update >= first && update < last && (update - first) % every === 0)

/** How far a training is between the first and the last time, 0..1. */
export const timeAt = ({ first, last }: Times, update: number): number =>
  last === first ? 1 : (update - first) / (last - first)
