// Numbers of a loss that may change in the course of a training: temperatures and weights.
import { z } from 'zod'

const share = z.number().min(0).max(1)

/** Schema of such a number: itself, or a way from one to another. */
export const scheduled = (number: z.ZodNumber) =>
  z.union([
    number,
    z
      .strictObject({
        from: number.describe('The number at the start.'),
        to: number.describe('The number at the end.'),
        shape: z
          .enum(['linear', 'cosine', 'exponential', 'step'])
          .default('linear')
          .describe('The way between them; step: all at once, at the start of the change.'),
        start: share.default(0).describe('Share of all steps after which the change begins.'),
        end: share.default(1).describe('Share of all steps after which it is over.'),
      })
      .refine(({ start, end }) => start <= end, 'start must not be after end')
      .refine(
        ({ from, to, shape }) => shape !== 'exponential' || (from > 0 && to > 0),
        "shape 'exponential' needs numbers above 0",
      ),
  ])

/** A number that may change. */
export type Scheduled = z.output<ReturnType<typeof scheduled>>

/** The number after a share `progress` of all steps, 0..1. */
export function valueAt(number: Scheduled, progress: number): number {
  if (typeof number === 'number') return number
  const { from, to, shape, start, end } = number
  if (progress < start) return from
  if (shape === 'step' || progress >= end) return to
  const way = (progress - start) / (end - start)
  if (shape === 'exponential') return from * (to / from) ** way
  const eased = shape === 'cosine' ? (1 - Math.cos(Math.PI * way)) / 2 : way
  return from + (to - from) * eased
}

/** The largest value that the number takes. */
export const largestOf = (number: Scheduled): number =>
  typeof number === 'number' ? number : Math.max(number.from, number.to)
