// Channel groups: channels that can only be cut together, with everything of each of them that a cut removes.
// Example: Conv(3, 8) → BatchNormalization → Relu → Conv(8, 16) has a group of 8 channels, with these parts: axis 0 of
// the first filter, all four vectors of the norm, axis 1 of the second filter, and axis 1 of the values in between.
import type { Model, Node } from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import { closure } from './closure.ts'
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
export function channelGroups(model: Model): Group[] {
  const { places, links } = closure(model.graph)
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
  const order = new Map(model.graph.nodes.map((node, index) => [node, index]))
  const groups = alike([...places.keys()], starts, classes)
    .map((channels) => groupOf(channels, places, order))
    // Channels that no weight makes (an input next to them in a Concat) are nobody's to cut.
    .filter(({ producers }) => producers.length > 0)
  groups.sort((a, b) => order.get(a.producers[0]!)! - order.get(b.producers[0]!)!)
  return numbered(groups)
}

/** A channel: the indices that it has on each axis. */
type Channel = Map<Place, number[]>

/** Sorts channels by the axes that they take part in: those with the same axes form a group. */
function alike(
  places: readonly Place[],
  starts: ReadonlyMap<Place, number>,
  classes: Classes,
): Channel[][] {
  const channels = new Map<number, Channel>()
  for (const place of places)
    for (let index = 0; index < place.size; index++) {
      const root = classes.root(starts.get(place)! + index)
      const channel = channels.get(root) ?? new Map<Place, number[]>()
      channels.set(root, channel)
      const indices = channel.get(place)
      if (indices) indices.push(index)
      else channel.set(place, [index])
    }
  const groups = new Map<string, Channel[]>()
  for (const channel of channels.values()) {
    const key = [...channel].map(([place, list]) => `${starts.get(place)}x${list.length}`).join()
    const group = groups.get(key)
    if (group) group.push(channel)
    else groups.set(key, [channel])
  }
  return [...groups.values()]
}

function groupOf(
  channels: readonly Channel[],
  places: ReadonlyMap<Place, string | undefined>,
  order: ReadonlyMap<Node, number>,
): Group {
  const own = [...channels[0]!.keys()]
  const makers = own.flatMap(({ role, node }) => (role === 'out' && node ? [node] : []))
  const producers = [...new Set(makers)].sort((a, b) => order.get(a)! - order.get(b)!)
  const reason =
    channels.length === 1
      ? 'it is a single channel'
      : own.map((place) => places.get(place)).find((found) => found !== undefined)
  return {
    name: producers[0] ? layerName(producers[0]) : '',
    producers,
    channels: channels.length,
    prunable: reason ?? true,
    parts: own.map((place) => ({
      place,
      indices: channels.map((channel) => Int32Array.from(channel.get(place)!)),
    })),
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
