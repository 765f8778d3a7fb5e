// Follows channels along the graph until nothing new is reached: from every axis of a weight that makes channels,
// over the ties of the rules, to all the axes that have to be cut with it, and to what forbids the cut.
import { statedShape } from '../onnx/cost.ts'
import type { Graph, Node, Value } from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import { rules } from './rules.ts'
import type { Tie, Ties } from './ties.ts'
import { type Link, newWeb, type Place, type Web } from './web.ts'

/** All axes that hang together with some weight that makes channels. */
export interface Closure {
  /** The axes, and for each why it has to stay whole, or undefined where it may be cut. */
  readonly places: ReadonlyMap<Place, string | undefined>
  readonly links: readonly Link[]
}

/** A list of ties of which one has to be chosen. */
interface Choice {
  readonly node: Node
  readonly ties: readonly Tie[]
}

/** Computes the closure of a graph whose values all state their shapes (`inferShapes` of runtime/). */
export function closure(graph: Graph): Closure {
  const web = newWeb()
  const outputs = new Set(graph.outputs)
  const refusals = new Map<Node, string | undefined>()
  const choices: Choice[] = []
  for (const node of graph.nodes) {
    const found = tiesOf(node, outputs)
    refusals.set(node, typeof found === 'string' ? found : undefined)
    if (typeof found === 'string') continue
    for (const tie of found.ties) web.join(node, tie)
    for (const ties of found.choices ?? []) choices.push({ node, ties })
  }
  const computed = computedFromInputs(graph)
  for (const { to } of web.links) if (to.role === 'out' && !computed.has(to.value)) web.reach(to)
  settle(web, choices)

  const inputs = new Set(graph.feeds)
  const reasonFor = (place: Place): string | undefined => {
    if (inputs.has(place.value)) return `input '${place.value.name}' of the model keeps its shape`
    if (outputs.has(place.value)) return `output '${place.value.name}' of the model keeps its shape`
    const { producer, users } = place.value
    for (const node of place.owner ? [place.owner] : [...(producer ? [producer] : []), ...users]) {
      if (!refusals.has(node)) return `${describe(node)} is in a subgraph`
      const refusal = refusals.get(node)
      if (refusal !== undefined) return refusal
      if (!web.isTied(node, place)) return `${describe(node)} mixes the channels`
    }
    return undefined
  }
  const places = new Map([...web.reached].map((place) => [place, reasonFor(place)]))
  return { places, links: web.links.filter(({ from }) => places.has(from)) }
}

/**
 * Chooses among ties at the nodes that were reached, until nothing new is reached.
 *
 * A choice that other nodes have decided, because one of its parts is reached, goes first; where none is decided, the
 * first part keeps the channels apart.
 */
function settle(web: Web, choices: readonly Choice[]): void {
  const left = new Set(choices)
  for (;;) {
    const open = [...left].filter(({ ties }) =>
      ties.some(({ from, to }) => web.isReached(from) || web.isReached(to)),
    )
    const decided = open.find(({ ties }) => ties.some(({ to }) => web.isReached(to)))
    const next = decided ?? open[0]
    if (!next) return
    left.delete(next)
    web.join(next.node, next.ties.find(({ to }) => web.isReached(to)) ?? next.ties[0]!)
  }
}

/** The ties of a node, or the reason why its channels cannot be followed. */
function tiesOf(node: Node, graphOutputs: ReadonlySet<Value>): Ties | string {
  const rule = node.domain === '' || node.domain === 'ai.onnx' ? rules[node.opType] : undefined
  if (!rule) return `${describe(node)} has no channel rule`
  const outputs = node.outputs.filter(
    (output) => output !== undefined && (output.users.size > 0 || graphOutputs.has(output)),
  )
  for (const value of [...node.inputs, ...outputs])
    if (value && !statedShape(value)) return `the shape of '${value.name}' is not known`
  const found = rule.ties(node)
  if (typeof found === 'string') return `${describe(node)} ${found}`
  // The mask of a Dropout, the indices of a MaxPool: rules know the first output alone.
  const further = outputs.find((output) => output !== node.outputs[0])
  if (further) return `${describe(node)} has an output without a channel rule: '${further.name}'`
  return found
}

/** All values that depend on what the model is fed. */
function computedFromInputs(graph: Graph): ReadonlySet<Value> {
  const computed = new Set<Value>(graph.feeds)
  for (const node of graph.nodes)
    if (node.inputs.some((input) => input && computed.has(input)))
      for (const output of node.outputs) if (output) computed.add(output)
  return computed
}

const describe = (node: Node): string => `${node.opType} '${layerName(node)}'`
