// Which method at which ranks each layer gets.
import type { Cost, Opened, Ranks } from './method.ts'
import type { MethodName } from './methods.ts'
import type { Unit } from './units.ts'

/** One way to factorise a layer. */
export interface Choice {
  readonly method: MethodName
  readonly opened: Opened
  readonly ranks: Ranks
  readonly cost: Cost
  /** The share of the layer's energy that is lost, at most. */
  readonly error: number
}

/** A layer, and the ways to factorise it that make it smaller. */
export interface Candidate {
  readonly unit: Unit
  readonly choices: readonly Choice[]
}

/** What is to become smaller. */
export type Measure = keyof Cost

/** What a choice does harm, in whatever unit layers are to be compared. */
export type Harm = (unit: Unit, choice: Choice) => number

/** The share of the energy that is lost. */
export const byError: Harm = (_, { error }) => error

/** A point of a layer's trade-off; without a choice the layer stays as it is. */
interface Point {
  readonly choice?: Choice
  readonly cost: number
  readonly harm: number
}

/**
 * The choices that together save so much that what remains of `measure` is `limit` at most, at the least harm: layer by
 * layer along the convex hull of harm over cost, the cheapest step of all layers first, until the limit holds.
 * Undefined where it cannot be reached.
 */
export function chooseForTarget(
  candidates: readonly Candidate[],
  measure: Measure,
  limit: number,
  harm: Harm = byError,
): Map<Unit, Choice> | undefined {
  const hulls = candidates.map(({ unit, choices }) => {
    const points = choices.map(
      (choice): Point => ({ choice, cost: choice.cost[measure], harm: harm(unit, choice) }),
    )
    return { unit, points, hull: hullOf([{ cost: unit[measure], harm: 0 }, ...points]) }
  })
  const steps = hulls
    .flatMap(({ hull }, layer) =>
      hull.slice(1).map((point, index) => {
        const before = hull[index]!
        return { layer, point, price: (point.harm - before.harm) / (before.cost - point.cost) }
      }),
    )
    .sort((one, other) => one.price - other.price || one.layer - other.layer)
  const at = hulls.map(({ hull }) => hull[0]!)
  let total = at.reduce((sum, { cost }) => sum + cost, 0)
  for (const { layer, point } of steps) {
    if (total <= limit) break
    const without = total - at[layer]!.cost
    total = without + point.cost
    at[layer] = point
    if (total > limit) continue
    // The last step may be shorter than the hull has it.
    const enough = hulls[layer]!.points.filter(({ cost }) => without + cost <= limit)
    const best = enough.reduce((one, other) => (other.harm < one.harm ? other : one), point)
    total = without + best.cost
    at[layer] = best
  }
  return total <= limit ? chosen(hulls, at) : undefined
}

/**
 * The choices that leave every layer the same share of `measure`, the largest with which `limit` holds; a layer that
 * cannot be as small is as small as it can be. Undefined where no share reaches it.
 */
export function chooseUniformly(
  candidates: readonly Candidate[],
  measure: Measure,
  limit: number,
): Map<Unit, Choice> | undefined {
  const shareOf = (unit: Unit, { cost }: Choice) => cost[measure] / unit[measure]
  const chosenAt = (share: number) =>
    new Map(
      candidates.map(({ unit, choices }) => [
        unit,
        within(choices, measure, share * unit[measure]) ??
          choices.reduce((one, other) => (other.cost[measure] < one.cost[measure] ? other : one)),
      ]),
    )
  const shares = candidates.flatMap(({ unit, choices }) => choices.map((one) => shareOf(unit, one)))
  const sorted = [...new Set(shares)].sort((one, other) => one - other)
  let [low, high] = [-1, sorted.length - 1]
  let best: Map<Unit, Choice> | undefined
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const found = chosenAt(sorted[middle]!)
    const total = [...found].reduce((sum, [, { cost }]) => sum + cost[measure], 0)
    if (total <= limit) [low, best] = [middle, found]
    else high = middle - 1
  }
  return best
}

/** The choice that loses least within a cost. */
export const within = (
  choices: readonly Choice[],
  measure: Measure,
  most: number,
): Choice | undefined =>
  choices
    // Costs are sums of whole numbers, but a share of one is not.
    .filter(({ cost }) => cost[measure] <= most * (1 + 1e-9))
    .reduce<Choice | undefined>(
      (best, choice) => (best && best.error <= choice.error ? best : choice),
      undefined,
    )

/** The choice with the fewest operations that loses no more than a share. */
export const losingAtMost = (choices: readonly Choice[], error: number): Choice | undefined =>
  choices
    .filter((choice) => choice.error <= error)
    .reduce<Choice | undefined>(
      (best, choice) => (best && best.cost.macs <= choice.cost.macs ? best : choice),
      undefined,
    )

function chosen(
  layers: readonly { readonly unit: Unit }[],
  points: readonly Point[],
): Map<Unit, Choice> {
  return new Map(
    layers.flatMap(({ unit }, index) => {
      const { choice } = points[index]!
      return choice ? [[unit, choice] as const] : []
    }),
  )
}

/** The lower convex hull of harm over cost, from the most expensive point, which does no harm, to the cheapest. */
function hullOf(points: readonly Point[]): Point[] {
  const sorted = points.toSorted((one, other) => other.cost - one.cost || one.harm - other.harm)
  const hull: Point[] = []
  for (const point of sorted) {
    if (hull.at(-1)?.cost === point.cost) continue
    while (hull.length > 1 && !isBelow(hull.at(-2)!, hull.at(-1)!, point)) hull.pop()
    hull.push(point)
  }
  return hull
}

/** Whether the middle point lies below the line between its neighbours. */
const isBelow = (left: Point, middle: Point, right: Point): boolean =>
  (middle.harm - left.harm) * (left.cost - right.cost) <
  (right.harm - left.harm) * (left.cost - middle.cost)
