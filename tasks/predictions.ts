// What tasks do with rows of predictions, whatever they mean.
import type { Predictions } from './task.ts'

/** The position of the largest number, the first of equals; -1 where none can be told. */
export function largest(row: ArrayLike<number>): number {
  let best = -1
  for (let i = 0; i < row.length; i++) {
    const value = row[i]!
    if (Number.isNaN(value) || value === Number.POSITIVE_INFINITY) return -1
    // Minus infinity is a class ruled out: the logarithm of 0.
    if (best < 0 ? value > Number.NEGATIVE_INFINITY : value > row[best]!) best = i
  }
  return best
}

/** Whether a row has nothing but finite numbers. */
export function allFinite(row: ArrayLike<number>): boolean {
  for (let i = 0; i < row.length; i++) if (!Number.isFinite(row[i]!)) return false
  return true
}

/** Predictions whose rows are computed from those of others when they are asked for; the width stays. */
export function mapRows(
  predictions: Predictions,
  write: (row: Float32Array, into: Float32Array) => void,
): Predictions {
  const into = new Float32Array(predictions.width)
  const { size, width, widths } = predictions
  return {
    ...{ size, width },
    ...(widths && { widths }),
    row(index) {
      write(predictions.row(index), into)
      return into
    },
  }
}

/** A number, or null where it is not finite. */
export const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)

/** The mean of the numbers that there are; null where there is none. */
export function meanOf(values: Iterable<number | null>): number | null {
  let [sum, count] = [0, 0]
  for (const value of values)
    if (value !== null) {
      sum += value
      count++
    }
  return count === 0 ? null : sum / count
}

/** A main figure over the teacher's; 0 where the model's or the teacher's is not above 0. */
export const ratioTo = (teacher: number, value: number): number =>
  teacher > 0 ? Math.max(0, value) / teacher : 0

/** Numbers by class over the teacher's; null where the teacher has none above 0. */
export function classRatios(
  teacher: Readonly<Record<string, number | null>>,
  model: Readonly<Record<string, number | null>>,
): Record<string, number | null> {
  return Object.fromEntries(
    Object.entries(teacher).map(([name, theirs]) => [
      name,
      theirs ? (model[name] ?? 0) / theirs : null,
    ]),
  )
}
