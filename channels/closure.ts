// Follows channels along the graph until nothing new is reached: from every axis of a weight that makes channels,
// over the ties of the rules, to all the axes that have to be cut with it, and to what forbids the cut.
import { statedShape } from '../onnx/cost.ts'
import { constantOf, type Graph, type Node, type Value } from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import { rules } from './rules.ts'
import type { Role, Slot, Tie, Ties } from './ties.ts'

/** An axis as the closure sees it; the same axis is always the same object. */
export interface Place extends Slot {
  /**
   * The one node that is meant where several use the constant but may each need a cut of their own (norms that share
   * a vector of ones); undefined where all users go together.
   */
  readonly owner: Node | undefined
  readonly size: number
  /** What the constant is to a node's channels; undefined for what flows. */
  readonly role: Role | undefined
  /** The node to which it is that. */
  readonly node: Node | undefined
  /** Why the axis has to stay whole; undefined where it may be cut. */
  readonly reason: string | undefined
}

/** A tie between two axes: index i of `from` goes with index `map(i)` of `to`. */
export interface Link {
  readonly from: Place
  readonly to: Place
  readonly map: (index: number) => number
}

/** All axes that hang together with some weight that makes channels, and what ties them. */
export interface Closure {
  readonly places: readonly Place[]
  readonly links: readonly Link[]
}

type Draft = { -readonly [Key in keyof Place]: Place[Key] }

/** Computes the closure of a graph whose values all state their shapes (`inferShapes` of runtime/). */
export function closure(graph: Graph): Closure {
  const web = startWeb()
  const reasons = new Map<Node, string>()
  let choices: { readonly node: Node; readonly ties: readonly Tie[] }[] = []
  for (const node of graph.nodes) {
    const found = tiesOf(node)
    if (typeof found === 'string') {
      reasons.set(node, found)
      continue
    }
    for (const tie of found.ties) web.join(node, tie)
    for (const ties of found.choices ?? []) choices.push({ node, ties })
  }
  const computed = computedFromInputs(graph)
  const seeds = web.links.filter(({ to }) => to.role === 'out' && !computed.has(to.value))
  for (const { to } of seeds) web.reach(to)
  // What is decided elsewhere is settled first; where nothing decides, the first axis keeps the channels apart.
  for (;;) {
    const open = choices.filter(({ ties }) =>
      ties.some(({ from, to }) => web.isReached(from) || web.isReached(to)),
    )
    const next = open.find(({ ties }) => ties.some(({ to }) => web.isReached(to))) ?? open[0]
    if (!next) break
    choices = choices.filter((choice) => choice !== next)
    web.join(next.node, next.ties.find(({ to }) => web.isReached(to)) ?? next.ties[0]!)
  }
  const places = web.places.filter((place) => web.reached.has(place))
  const ends = { inputs: new Set(graph.feeds), outputs: new Set(graph.outputs) }
  for (const place of places)
    place.reason = reasonFor(place, ends, (node) => {
      const reason = reasons.get(node)
      if (reason !== undefined) return reason
      const mentioned = web.mentioned.get(node)
      if (mentioned?.has(place)) return undefined
      const inside = mentioned === undefined && !graph.nodes.includes(node)
      return inside ? `${describe(node)} is in a subgraph` : `${describe(node)} mixes them`
    })
  return { places, links: web.links.filter(({ from }) => web.reached.has(from)) }
}

/** Collects places and links, and spreads from what is reached along them. */
function startWeb() {
  const known = new Map<Value, Draft[]>()
  const places: Draft[] = []
  const links: Link[] = []
  const neighbours = new Map<Place, Place[]>()
  const mentioned = new Map<Node, Set<Place>>()
  const reached = new Set<Place>()

  const find = ({ value, axis }: Slot, owner?: Node) =>
    known.get(value)?.find((place) => place.axis === axis && place.owner === owner)
  const at = (slot: Slot, owner?: Node): Draft => {
    const found = find(slot, owner)
    if (found) return found
    const size = statedShape(slot.value)?.[slot.axis] ?? 0
    const place = { ...slot, owner, size, role: undefined, node: undefined, reason: undefined }
    known.set(slot.value, [...(known.get(slot.value) ?? []), place])
    places.push(place)
    return place
  }
  const reach = (start: Place) => {
    const open = [start]
    for (let place = open.pop(); place; place = open.pop()) {
      if (reached.has(place)) continue
      reached.add(place)
      open.push(...(neighbours.get(place) ?? []))
    }
  }
  const join = (node: Node, tie: Tie) => {
    const from = at(tie.from)
    const to = at(tie.to, ownerOf(tie, node))
    to.role ??= tie.role
    to.node ??= tie.role && node
    links.push({ from, to, map: tie.map ?? ((index) => index) })
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      put(neighbours, one, () => []).push(other)
      put(mentioned, node, () => new Set()).add(one)
      if (reached.has(one)) reach(other)
    }
  }
  const isReached = (slot: Slot) => {
    const place = find(slot)
    return place !== undefined && reached.has(place)
  }
  return { places, links, mentioned, reached, reach, join, isReached }
}

/** Weights that several nodes share are cut together; vectors that they share are copied for each of them. */
function ownerOf({ to, role }: Tie, node: Node): Node | undefined {
  const vector = role !== undefined && role !== 'in' && role !== 'out'
  return vector && constantOf(to.value) && to.value.users.size > 1 ? node : undefined
}

/** The ties of a node, or the reason why its channels cannot be followed. */
function tiesOf(node: Node): Ties | string {
  const rule = node.domain === '' || node.domain === 'ai.onnx' ? rules[node.opType] : undefined
  if (!rule) return `${describe(node)} has no channel rule`
  const values = [...node.inputs, ...node.outputs].filter((value) => value !== undefined)
  const unknown = values.find((value) => !statedShape(value) && isUsed(node, value))
  if (unknown) return `the shape of '${unknown.name}' is not known`
  const found = rule.ties(node)
  if (typeof found === 'string') return `${describe(node)} ${found}`
  const tied = new Set(
    [...found.ties, ...(found.choices ?? []).flat()].flatMap(({ from, to }) => [
      from.value,
      to.value,
    ]),
  )
  const forgotten = node.outputs.slice(1).find((output) => output && isUsed(node, output) && !tied.has(output))
  return forgotten ? `output '${forgotten.name}' of ${describe(node)} has no channel rule` : found
}
