// Taps: which values inside the teacher and the student a loss compares.
import { z } from 'zod'

const selector = z.string().min(1)

/** Schema of one tap: a value of the teacher and one of the student. */
const tapPair = z.strictObject({
  teacher: selector.describe("A value of the teacher: its name, a glob, or 're:…'."),
  student: selector.describe("A value of the student: its name, a glob, or 're:…'."),
})

/** Schema of the taps of a loss that compares two models. */
export const tapPairs = z
  .union([z.literal('auto'), z.array(tapPair).min(1)])
  .default('auto')
  .describe(
    'Which values are compared; globs pair what they match in the order of the graphs. auto: the ends of the stages of equal resolution, or of the blocks; for losses on attention what is inside it.',
  )

/** Schema of the taps of a loss on the student alone. */
export const tapsOfStudent = z
  .union([z.literal('auto'), z.array(selector).min(1)])
  .default('auto')
  .describe("Values of the student: names, globs, or 're:…'. auto: the ends of its stages.")

/** A tap with exact names. */
export type TapNames = z.output<typeof tapPair>

/** A value of the teacher that is fed with every batch. */
export interface TaughtValue {
  /** What the teacher's file calls it. */
  readonly name: string
  /** Its shape without the batch in front. */
  readonly shape: readonly number[]
  /** True for `[C, L]` of a convolution, false for `[L, D]`; like the student's value where nothing is said. */
  readonly signal?: boolean
}

/** The student's values that losses name, each once; `auto` must have been settled before. */
export function studentTaps(losses: readonly object[]): string[] {
  return [...new Set(losses.flatMap((loss) => namesIn(tapsOf(loss), 'student')))]
}

/** The teacher's values that losses name, each once. */
export function teacherTaps(losses: readonly object[]): string[] {
  return [...new Set(losses.flatMap((loss) => namesIn(tapsOf(loss), 'teacher')))]
}

/** The same loss with other names for the student's values. */
export function withStudentNames<Options extends object>(
  loss: Options,
  rename: (name: string) => string,
): Options {
  const taps = tapsOf(loss)
  if (taps === undefined || taps === 'auto') return loss
  const renamed = taps.map((tap) =>
    typeof tap === 'string' ? rename(tap) : { ...tap, student: rename(tap.student) },
  )
  return { ...loss, taps: renamed }
}

/** What a loss names: pairs, values of the student alone, or nothing at all. */
export const tapsOf = (loss: object): 'auto' | readonly (string | TapNames)[] | undefined =>
  (loss as { readonly taps?: 'auto' | readonly (string | TapNames)[] }).taps

function namesIn(
  taps: 'auto' | readonly (string | TapNames)[] | undefined,
  side: keyof TapNames,
): string[] {
  if (taps === undefined) return []
  if (taps === 'auto') throw new Error("internal: taps 'auto' were not settled")
  return taps.flatMap((tap) =>
    typeof tap === 'string' ? (side === 'student' ? [tap] : []) : [tap[side]],
  )
}
