// The vocabulary of channel rules: axes of values, and what ties their indices together.

import type { Node, Value } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'

/** One axis of a value. */
export interface Slot {
  readonly value: Value
  readonly axis: number
}

/**
 * What a constant does with the channels along one of its axes: a weight makes them (`out`) or takes them (`in`);
 * a vector multiplies them (`scale`), is added to them (`bias`), or has one element for each otherwise (`other`).
 */
export type Role = 'out' | 'in' | 'scale' | 'bias' | 'other'

/** Index i of `from` is cut exactly when index `map(i)` of `to` is; without a map, index i. */
export interface Tie {
  readonly from: Slot
  readonly to: Slot
  readonly map?: (index: number) => number
  /** What the constant end is to the channels: `to`, unless `roleOf` says `from`. */
  readonly role?: Role
  readonly roleOf?: 'from' | 'to'
}

/** The ties of one node; an axis that they do not mention has to stay whole. */
export interface Ties {
  readonly ties: readonly Tie[]
  /**
   * Ties of which only one of each list may hold: the one whose `to` is reached first, else the first (or last) one. (A Reshape
   * from `[C, H, W]` to `[C * H * W]` keeps any one of the three axes apart, but not all at once.)
   */
  readonly choices?: readonly (readonly Tie[])[]
  /**
   * Axes that the node takes up index by index (sums over them, say): any index may go without anything else of this
   * node changing.
   */
  readonly free?: readonly Slot[]
  /** True where the ties speak of all outputs; else an output besides the first forbids the cut where it is used. */
  readonly everyOutput?: true
}

/** One axis; a negative one counts from the end of the value's shape. */
export const slot = (value: Value, axis: number): Slot => ({
  value,
  axis: axis < 0 ? axis + (statedShape(value)?.length ?? 0) : axis,
})

/** Ties two axes index by index. */
export const tie = (from: Slot, to: Slot, role?: Role): Tie => ({ from, to, ...(role && { role }) })

/** The axes of the first input that go with the same axis of the first output. */
export function keptAxes(node: Node, keeps: (axis: number) => boolean = () => true): Tie[] {
  const [input, output] = [node.input(0), node.output()]
  return axesOf(output)
    .filter(keeps)
    .map((axis) => tie(slot(input, axis), slot(output, axis)))
}

/** The axes 0 … rank-1 of a value; none where its shape is not known. */
export const axesOf = (value: Value): number[] => [...(statedShape(value)?.keys() ?? [])]

/**
 * The axes of an input that broadcasting (aligned at the last axis) puts onto axes of the output without repeating it.
 *
 * An axis of size 1 that is repeated has no channels of its own and is tied to nothing.
 */
export function broadcastAxes(input: Value, output: Value, role: Role): Tie[] {
  const [own, whole] = [statedShape(input) ?? [], statedShape(output) ?? []]
  const shift = whole.length - own.length
  return own.flatMap((size, axis) =>
    size === whole[axis + shift] ? [tie(slot(output, axis + shift), slot(input, axis), role)] : [],
  )
}

/** Ties `from` to `to` over all axes but some; where those are dropped, the axes after them move up. */
export function remainingAxes(
  from: Value,
  to: Value,
  without: ReadonlySet<number>,
  dropped: boolean,
): Tie[] {
  return axesOf(from)
    .filter((axis) => !without.has(axis))
    .map((axis, index) => tie(slot(from, axis), slot(to, dropped ? index : axis)))
}
