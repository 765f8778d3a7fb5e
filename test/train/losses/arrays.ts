// Flat tensors as nested lists, for formulas written with indices.

/** Rows of a flat tensor: one list a sample. */
export const rowsOf = (values: Float64Array, count: number): number[][] => {
  const width = values.length / count
  return Array.from({ length: count }, (_, row) => [
    ...values.subarray(row * width, (row + 1) * width),
  ])
}

/** A flat `[N, C, …]` as lists by sample, channel, position. */
export const images = (values: Float64Array, count: number, channels: number): number[][][] =>
  rowsOf(values, count).map((row) => rowsOf(Float64Array.from(row), channels))

/** A flat `[N, L, D]` as lists by sample, channel, position. */
export const sequences = (values: Float64Array, count: number, channels: number): number[][][] =>
  rowsOf(values, count).map((row) =>
    Array.from({ length: channels }, (_, channel) =>
      row.filter((_, at) => at % channels === channel),
    ),
  )

/** Σ a · b. */
export const inner = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * b[at]!, 0)

/** A vector of length 1. */
export const unitVector = (a: readonly number[]): number[] => {
  const length = Math.sqrt(inner(a, a))
  return a.map((value) => value / length)
}

/** a - b. */
export const minus = (a: readonly number[], b: readonly number[]): number[] =>
  a.map((value, at) => value - b[at]!)

/** Σ over whole numbers below a bound. */
export const sumOver = (count: number, term: (index: number) => number): number => {
  let sum = 0
  for (let index = 0; index < count; index++) sum += term(index)
  return sum
}
