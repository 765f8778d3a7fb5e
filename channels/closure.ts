// Follows channels along the graph until nothing new is reached: from every axis of a weight that makes channels,
// over the ties of the rules, to all the axes that have to be cut with it, and to what forbids the cut.

import { type Model, type Node, opsetOf, type Value } from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import { statedShape } from '../onnx/multiplications.ts'
import type { TieContext } from './rule.ts'
import { ruleOf } from './rules.ts'
import { describeInner, type Scope, scopeOf } from './subgraphs.ts'
import type { Slot, Tie, Ties } from './ties.ts'
import { type Link, listIn, newWeb, type Place } from './web.ts'

/** All axes that hang together with some weight that makes channels. */
export interface Closure {
  /** The axes, and for each why it has to stay whole, or undefined where it may be cut. */
  readonly places: ReadonlyMap<Place, string | undefined>
  readonly links: readonly Link[]
}

/** What may be chosen. */
export interface ClosureOptions {
  /**
   * Which part of an axis that a Reshape splits keeps channels apart where nothing else decides: the first (the heads
   * of an attention, as a default) or the last (their width).
   */
  readonly split?: 'heads' | 'width'
}

/** A list of ties of which one has to be chosen. */
interface Choice {
  readonly node: Node
  readonly ties: readonly Tie[]
}

/** Computes the closure of a model whose values all state their shapes (`inferShapes` of runtime/). */
export function closure(model: Model, { split = 'heads' }: ClosureOptions = {}): Closure {
  const queue = new ChoiceQueue()
  const { graph } = model
  const scope = scopeOf(graph)
  const computed = computedFrom(graph.feeds, scope)
  const web = newWeb(
    (place) => queue.reach(place),
    (value) => !computed.has(value),
  )
  const outputs = new Set(graph.outputs)
  const refusals = new Map<Node, string | undefined>()
  const context = { opset: opsetOf(model), split, ...scope }
  for (const node of scope.nodes) {
    const found = tiesOf(node, context)
    refusals.set(node, typeof found === 'string' ? found : undefined)
    if (typeof found === 'string') continue
    for (const tie of found.ties) web.join(node, tie)
    for (const slot of found.free ?? []) web.allow(node, slot)
    for (const ties of found.choices ?? []) queue.add({ node, ties })
  }
  for (const place of web.places) if (place.role === 'out') web.reach(place)

  const inputs = new Set(graph.feeds)
  /** Why an axis has to stay whole, as far as the nodes say that pass a test. */
  const reasonFor = (
    place: Place,
    counts: (node: Node) => boolean = () => true,
  ): string | undefined => {
    if (inputs.has(place.value)) return `input '${place.value.name}' of the model keeps its shape`
    if (outputs.has(place.value)) return `output '${place.value.name}' of the model keeps its shape`
    const { producer, users } = place.value
    const takers = scope.takers.get(place.value) ?? []
    const around = [...(producer ? [producer] : []), ...users, ...takers]
    for (const node of place.owner ? [place.owner] : around) {
      if (!counts(node)) continue
      if (!refusals.has(node)) return describeInner(node, graph)
      const refusal = refusals.get(node)
      if (refusal !== undefined) return refusal
      if (!web.isTied(node, place)) return `${describe(node)} mixes the channels`
    }
    return undefined
  }
  /** True where an axis cannot be cut, or another that is not reached yet but would be with it. */
  const isBlocked = (start: Slot): boolean => {
    const seen = new Set([web.placeOf(start)])
    for (const place of seen) {
      if (reasonFor(place, (node) => !queue.isAbout(node, place)) !== undefined) return true
      for (const next of web.around(place)) if (!web.reached.has(next)) seen.add(next)
    }
    return false
  }
  for (let choice = queue.next(); choice; choice = queue.next()) {
    const { node, ties } = choice
    const open = ties.filter(({ from }) => web.isReached(from))
    if (split === 'width') open.reverse()
    const decided = ties.find(({ to }) => web.isReached(to))
    const chosen = decided ?? open.find(({ to }) => !isBlocked(to)) ?? open[0]
    if (chosen) web.join(node, chosen)
  }
  const places = new Map([...web.reached].map((place) => [place, reasonFor(place)] as const))
  return { places, links: web.links.filter(({ from }) => places.has(from)) }
}

/**
 * Gives choices at the nodes that were reached, until nothing new is reached.
 *
 * A choice that other nodes have decided, because one of its parts is reached, goes first; then the first of the graph.
 */
class ChoiceQueue {
  readonly #choices: Choice[] = []
  /** The numbers of the choices that an axis is in: as a whole (`from`), or as a part (`to`). */
  readonly #ofWhole = new Map<Value, { readonly axis: number; readonly choice: number }[]>()
  readonly #ofPart = new Map<Value, { readonly axis: number; readonly choice: number }[]>()
  readonly #decided: number[] = []
  readonly #open = new Set<number>()
  readonly #done = new Set<number>()
  /** No choice before this one is open. */
  #first = 0

  add(choice: Choice): void {
    const number = this.#choices.push(choice) - 1
    for (const { from, to } of choice.ties) {
      listIn(this.#ofWhole, from.value).push({ axis: from.axis, choice: number })
      listIn(this.#ofPart, to.value).push({ axis: to.axis, choice: number })
    }
  }

  /** Hears that an axis is reached. */
  reach({ value, axis }: Place): void {
    for (const one of this.#ofPart.get(value) ?? [])
      if (one.axis === axis) this.#decided.push(one.choice)
    for (const one of this.#ofWhole.get(value) ?? [])
      if (one.axis === axis) {
        this.#open.add(one.choice)
        this.#first = Math.min(this.#first, one.choice)
      }
  }

  /** True where a choice of the node is about the axis. */
  isAbout(node: Node, { value, axis }: Slot): boolean {
    const own = [...(this.#ofPart.get(value) ?? []), ...(this.#ofWhole.get(value) ?? [])]
    return own.some((one) => one.axis === axis && this.#choices[one.choice]!.node === node)
  }

  next(): Choice | undefined {
    for (let number = this.#decided.pop(); number !== undefined; number = this.#decided.pop())
      if (!this.#done.has(number)) return this.#take(number)
    for (; this.#first < this.#choices.length; this.#first++)
      if (this.#open.has(this.#first) && !this.#done.has(this.#first))
        return this.#take(this.#first)
    return undefined
  }

  #take(number: number): Choice {
    this.#done.add(number)
    return this.#choices[number]!
  }
}

/** The ties of a node, or the reason why its channels cannot be followed. */
function tiesOf(node: Node, context: TieContext): Ties | string {
  const rule = ruleOf(node)
  if (!rule) return `${describe(node)} has no channel rule`
  const outputs = node.outputs.filter(
    (output) => output !== undefined && (output.users.size > 0 || context.outputs.has(output)),
  )
  for (const value of [...node.inputs, ...outputs])
    if (value && !statedShape(value)) return `the shape of '${value.name}' is not known`
  const found = rule.ties(node, context)
  if (typeof found === 'string') return `${describe(node)} ${found}`
  // The mask of a Dropout, the indices of a MaxPool: rules know the first output alone.
  const further = found.everyOutput
    ? undefined
    : outputs.find((output) => output !== node.outputs[0])
  if (further) return `${describe(node)} has an output without a channel rule: '${further.name}'`
  return found
}

/** All values that depend on what the model is fed. */
function computedFrom(feeds: readonly Value[], { nodes }: Scope): ReadonlySet<Value> {
  const computed = new Set<Value>(feeds)
  for (const node of nodes)
    if (node.inputs.some((input) => input && computed.has(input)))
      for (const output of node.outputs) if (output) computed.add(output)
  return computed
}

const describe = (node: Node): string => `${node.opType} '${layerName(node)}'`
