// The axes of a graph and the ties between them, and the spreading of "must be cut together" along those ties.
import { statedShape } from '../onnx/cost.ts'
import type { Node, Value } from '../onnx/graph.ts'
import type { Role, Slot, Tie } from './ties.ts'

/** An axis; the same axis is always the same object. */
export interface Place extends Slot {
  /**
   * The one node that is meant where several use the constant but may each need a cut of their own (norms that share
   * a vector of ones); undefined where all users go together.
   */
  readonly owner: Node | undefined
  readonly size: number
  /** What the constant is to the channels of `node`; undefined for what flows. */
  readonly role: Role | undefined
  readonly node: Node | undefined
}

/** A tie between two axes: index i of `from` goes with index `map(i)` of `to`. */
export interface Link {
  readonly from: Place
  readonly to: Place
  readonly map: (index: number) => number
}

/** Axes and ties so far, and which of the axes are reached. */
export interface Web {
  readonly links: readonly Link[]
  /** The reached axes, in the order in which they were reached. */
  readonly reached: ReadonlySet<Place>
  /** Adds a tie of a node; what it ties to a reached axis is reached, too. */
  join(node: Node, tie: Tie): void
  /** Marks an axis, and all that is tied to it, as reached. */
  reach(place: Place): void
  /** True where an axis, not owned by one node, is reached. */
  isReached(slot: Slot): boolean
  /** True where a tie of the node has the axis at one of its ends. */
  isTied(node: Node, place: Place): boolean
}

/** An empty web. */
export function newWeb(): Web {
  const places = new Map<Value, { -readonly [Key in keyof Place]: Place[Key] }[]>()
  const links: Link[] = []
  const neighbours = new Map<Place, Place[]>()
  const tied = new Map<Node, Set<Place>>()
  const reached = new Set<Place>()

  const find = ({ value, axis }: Slot, owner?: Node) =>
    places.get(value)?.find((place) => place.axis === axis && place.owner === owner)

  const placeOf = (slot: Slot, owner?: Node) => {
    const found = find(slot, owner)
    if (found) return found
    const size = statedShape(slot.value)?.[slot.axis] ?? 0
    const place = { ...slot, owner, size, role: undefined, node: undefined }
    listIn(places, slot.value).push(place)
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
    const from = placeOf(tie.from)
    const to = placeOf(tie.to, ownerOf(node, tie))
    if (tie.role && !to.role) Object.assign(to, { role: tie.role, node })
    links.push({ from, to, map: tie.map ?? ((index) => index) })
    const own = tied.get(node) ?? new Set()
    tied.set(node, own.add(from).add(to))
    listIn(neighbours, from).push(to)
    listIn(neighbours, to).push(from)
    if (reached.has(from)) reach(to)
    else if (reached.has(to)) reach(from)
  }

  return {
    links,
    reached,
    join,
    reach,
    isReached(slot) {
      const place = find(slot)
      return place !== undefined && reached.has(place)
    },
    isTied: (node, place) => tied.get(node)?.has(place) ?? false,
  }
}

/** Weights that several nodes share are cut together; of vectors that they share, each node can get its own. */
function ownerOf(node: Node, { to, role }: Tie): Node | undefined {
  const isVector = role !== undefined && role !== 'in' && role !== 'out'
  return isVector && to.value.tensor && to.value.users.size > 1 ? node : undefined
}

function listIn<Key, Item>(lists: Map<Key, Item[]>, key: Key): Item[] {
  const found = lists.get(key)
  if (found) return found
  const list: Item[] = []
  lists.set(key, list)
  return list
}
