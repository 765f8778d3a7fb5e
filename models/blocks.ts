// Finding the blocks that a model repeats: residual blocks, encoder layers, whatever was written in a loop.
import type { Graph, Node, Value, ValueType } from '../onnx/graph.ts'
import { type Segment, segmentChains } from './segments.ts'

/** One of several blocks in a row that compute the same with weights of their own. */
export interface Block {
  readonly entry: Value
  readonly exit: Value
  readonly nodes: readonly Node[]
}

/** Two or more blocks, the exit of each the entry of the next, all of one type. */
export type BlockChain = readonly Block[]

/** Segments in a row of which each `period` are a block. */
interface Repeat {
  readonly start: number
  readonly period: number
  readonly count: number
  readonly nodes: number
}

/**
 * Finds the chains of repeated blocks of a graph, in its order; `typeOf` knows the types of its values.
 *
 * Constants have to be initializers. Blocks do not overlap; where they could be cut in several ways, the one that
 * covers most of the graph is taken, and of those the one whose blocks begin with weights. Blocks without weights are
 * none.
 */
export function repeatedBlocks(
  graph: Graph,
  typeOf: (value: Value) => ValueType | undefined,
): BlockChain[] {
  const position = new Map(graph.nodes.map((node, index) => [node, index]))
  const chains = segmentChains(graph).flatMap((segments) =>
    repeatsOf(segments, typeOf).map(({ start, period, count }) =>
      Array.from({ length: count }, (_, index): Block => {
        const own = segments.slice(start + index * period, start + (index + 1) * period)
        return {
          entry: own[0]!.entry,
          exit: own.at(-1)!.exit,
          nodes: own.flatMap(({ nodes }) => nodes),
        }
      }),
    ),
  )
  const first = (chain: BlockChain) => position.get(chain[0]!.nodes[0]!) ?? 0
  return chains.sort((one, other) => first(one) - first(other))
}

/** The repeats of a chain that do not overlap, those that cover most nodes first. */
function repeatsOf(
  segments: readonly Segment[],
  typeOf: (value: Value) => ValueType | undefined,
): Repeat[] {
  const signatures = segments.map(({ signature }) => signature)
  const types = [...segments.map(({ entry }) => entry), ...segments.slice(-1).map((s) => s.exit)]
    .map(typeOf)
    .map(typeText)
  const found: Repeat[] = []
  for (let period = 1; 2 * period <= segments.length; period++)
    for (let start = 0; start + 2 * period <= segments.length; ) {
      // How many segments in a row are as those one period further on.
      let same = 0
      while (
        start + same + period < segments.length &&
        signatures[start + same] === signatures[start + same + period] &&
        types[start + same] === types[start + same + period]
      )
        same++
      // The last segment compared ends where the next one would begin.
      const end = start + same + period
      const typed = types[end] === types[end - period] ? same : same - 1
      const repeat = inRun(segments, start, period, typed + period)
      if (repeat) found.push(repeat)
      start += same + 1
    }
  found.sort((one, other) => other.nodes - one.nodes || one.period - other.period)
  const taken = new Set<number>()
  return found
    .filter(({ start, period, count }) => {
      const own = Array.from({ length: period * count }, (_, index) => start + index)
      if (own.some((index) => taken.has(index))) return false
      for (const index of own) taken.add(index)
      return true
    })
    .sort((one, other) => one.start - other.start)
}

/** The most blocks in a run of segments that repeats itself, the last that begin with weights where there is a choice. */
function inRun(
  segments: readonly Segment[],
  start: number,
  period: number,
  length: number,
): Repeat | undefined {
  const count = Math.floor(length / period)
  if (count < 2) return undefined
  const shifts = Array.from({ length: (length % period) + 1 }, (_, shift) => start + shift)
  const first = shifts.findLast((at) => segments[at]!.weights > 0) ?? start
  const own = segments.slice(first, first + count * period)
  if (own.slice(0, period).every(({ weights }) => weights === 0)) return undefined
  return { start: first, period, count, nodes: own.flatMap(({ nodes }) => nodes).length }
}

const typeText = (type: ValueType | undefined): string =>
  `${type?.dtype}[${type?.shape?.map((dim) => dim ?? '?').join() ?? '…'}]`
