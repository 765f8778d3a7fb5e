// Right and wrong answers by class, and the figures that are made of them.
import { meanOf } from './predictions.ts'

/** Counts of answers by class. */
export interface Confusion {
  /** Counts one sample of a class, and what it was taken for: a class, or -1 for none. */
  add(actual: number, chosen: number): void
  /** Counts one yes or no about a class. */
  addBinary(label: number, actual: boolean, chosen: boolean): void
  /** The share of the samples of each class that were found; null where there is no sample. */
  recall(): (number | null)[]
  /** The share of the samples taken for each class that are of it; null where none was taken for it. */
  precision(): (number | null)[]
  /** Harmonic mean of both by class: 2·hits / (samples + chosen); null where a class has no sample. */
  f1(): (number | null)[]
  /**
   * Means over the classes that occur in the truth or among the answers; a class that only occurs in one of them counts
   * 0, as scikit-learn counts it.
   */
  macro(): Record<'precision-macro' | 'recall-macro' | 'f1-macro', number | null>
}

/** Starts to count. */
export function confusion(classes: number): Confusion {
  const hits = new Float64Array(classes)
  const actualOf = new Float64Array(classes)
  const chosenOf = new Float64Array(classes)
  const share = (numerator: number, denominator: number) =>
    denominator > 0 ? numerator / denominator : null
  const all = <T>(value: (label: number) => T): T[] =>
    Array.from({ length: classes }, (_, label) => value(label))
  const addBinary = (label: number, actual: boolean, chosen: boolean) => {
    if (actual) actualOf[label]!++
    if (chosen) chosenOf[label]!++
    if (actual && chosen) hits[label]!++
  }
  const macro = (of: (label: number) => number | null) =>
    meanOf(all((label) => (actualOf[label]! + chosenOf[label]! > 0 ? (of(label) ?? 0) : null)))
  const recall = (label: number) => share(hits[label]!, actualOf[label]!)
  const precision = (label: number) => share(hits[label]!, chosenOf[label]!)
  const f1 = (label: number) => share(2 * hits[label]!, actualOf[label]! + chosenOf[label]!)
  return {
    addBinary,
    add(actual, chosen) {
      addBinary(actual, true, chosen === actual)
      if (chosen >= 0 && chosen !== actual) addBinary(chosen, false, true)
    },
    recall: () => all(recall),
    precision: () => all(precision),
    f1: () => all((label) => (actualOf[label]! > 0 ? f1(label) : null)),
    macro: () => ({
      'precision-macro': macro(precision),
      'recall-macro': macro(recall),
      'f1-macro': macro(f1),
    }),
  }
}

/** A list with a number for each class as a record by their names. */
export const byName = (
  classes: readonly string[],
  values: readonly (number | null)[],
): Record<string, number | null> =>
  Object.fromEntries(classes.map((name, label) => [name, values[label] ?? null]))
