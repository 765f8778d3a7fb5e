// What a method of factorization is: it opens a weight once, and can then say of any ranks what they cost and lose.
import type { Dense } from '../../base/linear-algebra.ts'
import type { Random } from '../../base/random.ts'
import type { Graph, Node, Value } from '../../onnx/graph.ts'
import type { Unit } from './units.ts'

/** The ranks of one factorization: one number for most methods, two for Tucker-2. */
export type Ranks = readonly number[]

/** What a chain of operators costs: for all nodes of the unit, of which all share the weights. */
export interface Cost {
  readonly macs: number
  readonly parameters: number
}

/** One new weight. */
export interface Factor {
  /** What comes behind the name of the old weight. */
  readonly suffix: string
  readonly dims: readonly number[]
  readonly values: ArrayLike<number>
}

/** The new weights of a layer. */
export interface Built {
  readonly factors: readonly Factor[]
  /** What is really lost, as a share of the squares, 0..1. */
  readonly error: number
  /** What is added to the bias, one number for each output; absent where nothing is. */
  readonly shift?: readonly number[]
}

/** A weight that has been opened by a method. */
export interface Opened {
  /** The ranks that lose nothing, whatever they cost. */
  readonly full: Ranks
  cost(ranks: Ranks): Cost
  /** What is lost at these ranks, at most: the squared error as a share of the weights' own squares, 0..1. */
  error(ranks: Ranks): number
  /** Ranks that are worth considering, from small to large. */
  ladder(): readonly Ranks[]
  /** The ranks that are not noise, by variational Bayes; absent where the method has no matrix to look at. */
  significant?(): Ranks
  /** The new weights, and what they really lose. */
  build(ranks: Ranks): Built
  /** Rewrites one of the unit's nodes; `factors` are the new weights, in the order in which `build` gave them. */
  write(graph: Graph, node: Node, factors: readonly Value[]): void
}

/** What is known of a layer's outputs, without its bias, on samples. */
export interface Moments {
  /** Their mean products with each other, or their covariances where there is a mean, `[outputs, outputs]`. */
  readonly second: Dense
  /** Their mean; there where the layer has a bias that can take up what is lost of it. */
  readonly mean?: Float64Array | undefined
}

/** What a method is given besides the weight. */
export interface Evidence {
  /** Decides the starting points of methods that have to start somewhere. */
  readonly random: Random
  /** One for each group; there where outputs are to be kept, not weights. */
  readonly outputs?: readonly Moments[] | undefined
}

/** A way to write one operator as a chain of smaller ones. */
export interface Method {
  /** One line for people. */
  readonly summary: string
  /** Whether each rank has to be worked out anew: then few are tried, and `auto` only tries the one it compares with. */
  readonly iterative: boolean
  /** Whether it can keep the outputs on samples instead of the weights. */
  readonly fitsOutputs: boolean
  /** Why it does not go with a layer; undefined where it does. */
  refuses(unit: Unit): string | undefined
  open(unit: Unit, evidence: Evidence): Opened
}

/** Number a rank may have at least and at most. */
const clamp = (rank: number, full: number): number => Math.max(1, Math.min(full, rank))

/** The ranks for a number (1, 2, …) or a share (below 1) of the full ones. */
export const ranksAt = ({ full }: Opened, rank: number): Ranks =>
  full.map((most) => clamp(rank < 1 ? Math.ceil(rank * most - 1e-9) : rank, most))

/** The ranks with each raised to a multiple, but not beyond the full one. */
export const rounded = ({ full }: Opened, ranks: Ranks, multiple: number): Ranks =>
  ranks.map((rank, index) => clamp(Math.ceil(rank / multiple) * multiple, full[index]!))

/**
 * Ranks from small to large, by walking down from the full ones: at each step the rank goes down by one that loses
 * least for what it saves.
 */
export function walkDown({ full, cost, error }: Pick<Opened, 'full' | 'cost' | 'error'>): Ranks[] {
  const steps: Ranks[] = [full]
  for (let ranks = full; ranks.some((rank) => rank > 1); ) {
    const [macs, lost] = [cost(ranks).macs, error(ranks)]
    let [best, lowest] = [ranks, Number.POSITIVE_INFINITY]
    for (const [index, rank] of ranks.entries()) {
      if (rank === 1) continue
      const less = ranks.with(index, rank - 1)
      const price = (error(less) - lost) / (macs - cost(less).macs)
      if (price < lowest || best === ranks) [best, lowest] = [less, price]
    }
    ranks = best
    steps.push(ranks)
  }
  return steps.reverse()
}

/** Few ranks, evenly spread by what they cost, for methods that work each of them out anew. */
export function coarse(full: number, steps = 10): Ranks[] {
  const ranks = Array.from({ length: steps }, (_, step) => Math.round((full * (step + 1)) / steps))
  return [...new Set(ranks)].filter((rank) => rank > 0).map((rank) => [rank])
}

/** What is lost at each rank, from 0 on: the sum of the squares from there on. */
export const tailOf = (squares: ArrayLike<number>): Float64Array => {
  const tails = new Float64Array(squares.length + 1)
  for (let index = squares.length - 1; index >= 0; index--)
    tails[index] = tails[index + 1]! + Math.max(0, squares[index]!)
  return tails
}
