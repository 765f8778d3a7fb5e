// What something costs between the places where it was measured.

/** A measured place, and what it costs there. */
export type MeasuredCost = readonly [at: number, cost: number]

/**
 * The cost at any place: straight lines from zero through what was measured, in the order of the places, and on beyond
 * the last along the last line; nothing where nothing was measured. More never costs less, whatever few samples say.
 */
export function risingCost(measured: readonly MeasuredCost[]): (at: number) => number {
  const points = measured.toSorted(([one], [other]) => one - other)
  return (at) => {
    let [from, low]: MeasuredCost = [0, 0]
    let slope = 0
    for (const [to, cost] of points) {
      const high = Math.max(low, cost)
      if (to > from) slope = (high - low) / (to - from)
      if (at <= to) break
      ;[from, low] = [to, high]
    }
    return low + slope * (at - from)
  }
}
