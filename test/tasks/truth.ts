// Truths in memory for tests of tasks.
import { predictionsIn } from '../../runtime/predict.ts'
import type { Predictions, Truth } from '../../tasks/task.ts'

/** A truth of classes, of targets, or of both. */
export function truthOf({
  labels = [],
  targets = [],
  targetWidth = 0,
  ...rest
}: {
  classes?: readonly string[]
  labels?: readonly number[]
  targets?: readonly number[]
  targetWidth?: number
  group?: number
  targetNames?: readonly string[]
  size?: number
}): Truth {
  const size = targetWidth ? targets.length / targetWidth : labels.length
  return {
    ...{ source: 'test', size, classes: [], group: 1, targetNames: [], targetWidth },
    labels: Int32Array.from(labels.length ? labels : new Array(size).fill(0)),
    ...rest,
    target(index, into, offset) {
      into.set(targets.slice(index * targetWidth, (index + 1) * targetWidth), offset)
    },
  }
}

/** Predictions in memory. */
export const said = (numbers: Iterable<number>, width: number): Predictions =>
  predictionsIn(Float32Array.from(numbers), [width])

/** Letters as names of classes. */
export const letters = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => String.fromCharCode(97 + index))
