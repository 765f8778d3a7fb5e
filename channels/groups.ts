// Channel groups: channels that can only be cut together, with everything of each of them that a cut removes.
// Example: Conv(3, 8) → BatchNormalization → Relu → Conv(8, 16) has a group of 8 channels, with these parts: axis 0 of
// the first filter, all four vectors of the norm, axis 1 of the second filter, and axis 1 of the values in between.
import { allNodes, type Model, type Node } from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import { type ClosureOptions, closure } from './closure.ts'
import type { Place } from './web.ts'

/** One axis that the channels of a group take part in. */
export interface Part {
  /** The axis; parts of different groups on one axis share it. */
  readonly place: Place
  /** The indices along the axis that each channel of the group has there, as many for every channel. */
  readonly indices: readonly Int32Array[]
}

/** Channels that can only be cut together with all their parts. */
export interface Group {
  /** The name of the first layer that makes the channels; numbered where a layer makes those of several groups. */
  readonly name: string
  /** All layers that make the channels, in the order of the graph. */
  readonly producers: readonly Node[]
  readonly channels: number
  /** True, or the reason why none of the channels can be cut. */
  readonly prunable: true | string
  readonly parts: readonly Part[]
}

/**
 * Finds the channel groups of a model, in the order of the graph.
 *
 * The model has to be prepared (`prepareChannels`): all shapes stated, constants as initializers. The groups refer to
 * the values of this very model.
 */
export function channelGroups(model: Model, options: ClosureOptions = {}): Group[] {
  const { places, links } = closure(model, options)
  const starts = new Map<Place, number>()
  let count = 0
  for (const place of places.keys()) {
    starts.set(place, count)
    count += place.size
  }
  const classes = new Classes(count)
  for (const { from, to, map } of links) {
    const [fromStart, toStart] = [starts.get(from)!, starts.get(to)!]
    for (let index = 0; index < from.size; index++)
      classes.merge(fromStart + index, toStart + map(index))
  }
  const order = new Map([...allNodes(model.graph)].map((node, index) => [node, index]))
  const groups = alike([...places.keys()], starts, classes)
    .map((parts) => groupOf(parts, places, order))
    // Channels that no weight makes (an input next to them in a Concat) are nobody's to cut.
    .filter(({ producers }) => producers.length > 0)
  groups.sort((a, b) => order.get(a.producers[0]!)! - order.get(b.producers[0]!)!)
  return numbered(groups)
}

/**
 * Sorts channels by the axes that they take part in: those with the same axes, and as many indices on each, form a
 * group, given by its parts. The work is in proportion to the sizes of all axes.
 */
function alike(
  places: readonly Place[],
  starts: ReadonlyMap<Place, number>,
  classes: Classes,
): Part[][] {
  const { signatures, count } = signaturesOf(places, starts, classes)
  // The channels of a group are numbered in the order of their first indices.
  const channels = new Int32Array(signatures.length)
  const sizes = new Int32Array(count)
  for (let item = 0; item < signatures.length; item++)
    if (classes.root(item) === item) channels[item] = sizes[signatures[item]!]!++
  const groups = new Map<number, Part[]>()
  for (const place of places) {
    const start = starts.get(place)!
    const lists = new Map<number, number[][]>()
    for (let index = 0; index < place.size; index++) {
      const root = classes.root(start + index)
      const signature = signatures[root]!
      let own = lists.get(signature)
      if (!own) {
        own = Array.from({ length: sizes[signature]! }, () => [])
        lists.set(signature, own)
      }
      own[channels[root]!]!.push(index)
    }
    for (const [signature, own] of lists) {
      const part = { place, indices: own.map((indices) => Int32Array.from(indices)) }
      const group = groups.get(signature)
      if (group) group.push(part)
      else groups.set(signature, [part])
    }
  }
  return [...groups.values()]
}

/** A number for every class of indices (at its root): equal where they lie on the same axes, equally often. */
function signaturesOf(
  places: readonly Place[],
  starts: ReadonlyMap<Place, number>,
  classes: Classes,
): { signatures: Int32Array; count: number } {
  const signatures = new Int32Array(classes.size)
  const found = new Int32Array(classes.size)
  let count = 1
  for (const place of places) {
    const start = starts.get(place)!
    const roots: number[] = []
    for (let index = 0; index < place.size; index++) {
      const root = classes.root(start + index)
      if (found[root]!++ === 0) roots.push(root)
    }
    const next = new Map<number, number>()
    for (const root of roots) {
      const key = signatures[root]! * (place.size + 1) + found[root]!
      found[root] = 0
      const signature = next.get(key) ?? count++
      next.set(key, signature)
      signatures[root] = signature
    }
  }
  return { signatures, count }
}

function groupOf(
  parts: readonly Part[],
  places: ReadonlyMap<Place, string | undefined>,
  order: ReadonlyMap<Node, number>,
): Group {
  const own = parts.map(({ place }) => place)
  // Layers may share the weight that makes the channels.
  const makers = own.flatMap(({ role, node, value }) =>
    role === 'out' && node ? [...value.users].filter(({ opType }) => opType === node.opType) : [],
  )
  const producers = [...new Set(makers)].sort((a, b) => order.get(a)! - order.get(b)!)
  const channels = parts[0]!.indices.length
  const reason =
    channels === 1
      ? 'it is a single channel'
      : own.map((place) => places.get(place)).find((found) => found !== undefined)
  return {
    name: producers[0] ? layerName(producers[0]) : '',
    producers,
    channels,
    prunable: reason ?? true,
    parts,
  }
}

/** Tells groups of one layer apart. */
function numbered(groups: readonly Group[]): Group[] {
  const seen = new Map<string, number>()
  return groups.map((group) => {
    const count = (seen.get(group.name) ?? 0) + 1
    seen.set(group.name, count)
    return count === 1 ? group : { ...group, name: `${group.name} (${count})` }
  })
}

/** Disjoint sets of 0 … count-1 (union-find with path halving; Tarjan and van Leeuwen 1984). */
class Classes {
  readonly #parents: Int32Array

  constructor(count: number) {
    this.#parents = Int32Array.from({ length: count }, (_, index) => index)
  }

  get size(): number {
    return this.#parents.length
  }

  root(item: number): number {
    const parents = this.#parents
    let at = item
    while (parents[at] !== at) {
      parents[at] = parents[parents[at]!]!
      at = parents[at]!
    }
    return at
  }

  /** The smaller root stays, so that the first channel of a set keeps its place in the order. */
  merge(one: number, other: number): void {
    const [a, b] = [this.root(one), this.root(other)]
    this.#parents[Math.max(a, b)] = Math.min(a, b)
  }
}
