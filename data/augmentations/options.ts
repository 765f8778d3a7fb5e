// Forms that options of several augmentations have in common.
import { z } from 'zod'

/** A probability, 0..1; true is one half. */
export const probability = z.union([z.boolean(), z.number().min(0).max(1)], {
  error: 'expected true, false or a probability 0..1',
})

/** The probability that {@link probability} stands for; `undefined` for none. */
export const probabilityOf = (option: boolean | number): number | undefined =>
  option === true ? 0.5 : Number(option) || undefined

/** Two numbers of which the first is not the greater. */
export const range = (from: number, to: number, least: number, most: number) =>
  z
    .tuple([z.number().min(least).max(most), z.number().min(least).max(most)])
    .refine(([low, high]) => low <= high, { error: 'expected the smaller number first' })
    .default([from, to])
