// The axes of a graph and the ties between them, and the spreading of "must be cut together" along those ties.

import type { Node, Value } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
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
  /** All axes that were mentioned. */
  readonly places: readonly Place[]
  /** Adds a tie of a node; what it ties to a reached axis is reached, too. */
  join(node: Node, tie: Tie): void
  /** Lets a node take up an axis index by index. */
  allow(node: Node, slot: Slot): void
  /** Marks an axis, and all that is tied to it, as reached. */
  reach(place: Place): void
  /** The axis, not owned by one node, of a slot. */
  placeOf(slot: Slot): Place
  /** The axes that are tied to one. */
  around(place: Place): readonly Place[]
  /** True where an axis, not owned by one node, is reached. */
  isReached(slot: Slot): boolean
  /** True where a tie of the node has the axis at one of its ends, or the node takes it up index by index. */
  isTied(node: Node, place: Place): boolean
}

/**
 * An empty web; `onReach` hears of every axis, not owned by one node, when it is reached.
 *
 * Only values of which `isConstant` holds have a role.
 */
export function newWeb(
  onReach: (place: Place) => void = () => {},
  isConstant: (value: Value) => boolean = () => true,
): Web {
  const places = new Map<Value, Map<Node | undefined, Place[]>>()
  const all: Place[] = []
  const links: Link[] = []
  const neighbours = new Map<Place, Place[]>()
  const tied = new Map<Node, Set<Place>>()
  const reached = new Set<Place>()

  const find = ({ value, axis }: Slot, owner?: Node) => places.get(value)?.get(owner)?.[axis]

  const placeOf = ({ value, axis }: Slot, owner?: Node): Place => {
    const found = find({ value, axis }, owner)
    if (found) return found
    const place: Place = {
      value,
      axis,
      owner,
      size: statedShape(value)?.[axis] ?? 0,
      role: undefined,
      node: undefined,
    }
    const ofValue = places.get(value) ?? new Map<Node | undefined, Place[]>()
    places.set(value, ofValue)
    listIn(ofValue, owner)[axis] = place
    all.push(place)
    return place
  }

  const reach = (start: Place) => {
    const open = [start]
    for (let place = open.pop(); place; place = open.pop()) {
      if (reached.has(place)) continue
      reached.add(place)
      onReach(place)
      open.push(...(neighbours.get(place) ?? []))
    }
  }

  const mention = (node: Node, place: Place) =>
    tied.set(node, (tied.get(node) ?? new Set()).add(place))

  const join = (node: Node, tie: Tie) => {
    const ofFrom = tie.roleOf === 'from'
    const from = placeOf(tie.from, ofFrom ? ownerOf(node, tie.from, tie.role) : undefined)
    const to = placeOf(tie.to, ofFrom ? undefined : ownerOf(node, tie.to, tie.role))
    const constant = ofFrom ? from : to
    if (tie.role && !constant.role && isConstant(constant.value))
      Object.assign(constant, { role: tie.role, node })
    links.push({ from, to, map: tie.map ?? ((index) => index) })
    mention(node, from)
    mention(node, to)
    listIn(neighbours, from).push(to)
    listIn(neighbours, to).push(from)
    if (reached.has(from)) reach(to)
    else if (reached.has(to)) reach(from)
  }

  return {
    links,
    reached,
    places: all,
    placeOf: (slot) => placeOf(slot),
    around: (place) => neighbours.get(place) ?? [],
    join,
    reach,
    allow: (node, slot) => void mention(node, placeOf(slot)),
    isReached(slot) {
      const place = find(slot)
      return place !== undefined && reached.has(place)
    },
    isTied: (node, place) => tied.get(node)?.has(place) ?? false,
  }
}

/** Weights that several nodes share are cut together; of vectors that they share, each node can get its own. */
function ownerOf(node: Node, { value }: Slot, role: Role | undefined): Node | undefined {
  const isVector = role !== undefined && role !== 'in' && role !== 'out'
  return isVector && value.tensor && value.users.size > 1 ? node : undefined
}

/** The list under a key, which is made where there is none. */
export function listIn<Key, Item>(lists: Map<Key, Item[]>, key: Key): Item[] {
  const found = lists.get(key)
  if (found) return found
  const list: Item[] = []
  lists.set(key, list)
  return list
}
