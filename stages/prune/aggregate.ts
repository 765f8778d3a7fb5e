// How the scores that a channel has in several layers become one.

/** Makes one score of those of several layers. */
type Aggregate = (scores: readonly number[]) => number

/** The ways besides `whole`, by name. */
const aggregates = {
  sum: (scores) => scores.reduce((sum, score) => sum + score, 0),
  mean: (scores) => scores.reduce((sum, score) => sum + score, 0) / scores.length,
  max: (scores) => Math.max(...scores),
  l2: (scores) => Math.sqrt(scores.reduce((sum, score) => sum + score ** 2, 0)),
  product: (scores) => scores.reduce((product, score) => product * score, 1),
  first: ([score = 0]) => score,
} as const satisfies Record<string, Aggregate>

/**
 * How the weights that a channel has in several layers count: `whole`, as if they were of one layer, or each layer by
 * itself, and what is made of their scores.
 */
export const aggregateNames = ['whole', 'sum', 'mean', 'max', 'l2', 'product', 'first'] as const

/** The name of an aggregation. */
export type AggregateName = (typeof aggregateNames)[number]

/** The lists of parts that are scored together. */
export const unitsOf = <Part>(parts: readonly Part[], aggregate: AggregateName): Part[][] =>
  aggregate === 'whole' ? [[...parts]] : parts.map((part) => [part])

/** Makes one score a channel of those of all units. */
export function aggregated(
  units: readonly Float64Array[],
  channels: number,
  aggregate: AggregateName,
): Float64Array {
  const reduce = aggregates[aggregate === 'whole' ? 'first' : aggregate]
  return Float64Array.from({ length: channels }, (_, channel) =>
    reduce(units.map((unit) => unit[channel]!)),
  )
}
