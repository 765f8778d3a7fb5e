// Cutting channels out of a graph for good: weights get smaller, attributes and shapes follow.

import type { Model, Node, Value } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { Tensor } from '../onnx/tensor.ts'
import { fitTo, readingsOf, tellersOf } from './fit.ts'
import type { Group } from './groups.ts'
import { ruleOf } from './rules.ts'
import { scopeOf } from './subgraphs.ts'
import type { Place } from './web.ts'

/** Which channels to cut: indices into the channels of each group. */
export type Cuts = ReadonlyMap<Group, readonly number[]>

/**
 * Cuts channels out of the model whose groups were found, in place.
 *
 * Constants shrink (as new tensors; the old ones stay as they are), stated shapes, the `group` of depthwise
 * convolutions and the constants that hold shapes follow. Cutting a group that cannot be cut, or all of its channels,
 * is a bug of the caller and throws `internal:`.
 */
export function cutChannels(model: Model, cuts: Cuts): void {
  const removed = indicesOf(cuts)
  const touched = new Set<Node>()
  for (const { value, owner } of removed.keys()) {
    if (value.producer) touched.add(value.producer)
    for (const user of owner ? [owner] : value.users) touched.add(user)
  }
  const { graph } = model
  const scope = scopeOf(graph)
  const readings = [...tellersOf([...removed.keys()].map(({ value }) => value))].flatMap((node) => {
    const found = readingsOf(node, scope)
    for (const follower of found?.followers ?? []) touched.add(follower)
    return found?.readings ?? []
  })
  const kept: Kept = new Map()
  for (const remainder of remaindersOf(removed)) kept.set(apply(model, remainder), remainder.axes)
  for (const node of scope.nodes) {
    const own = scope.graphs.get(node)!
    if (touched.has(node))
      ruleOf(node)?.adjust?.(node, {
        model,
        graph: own,
        sizeOf: sizeAfter,
        shapeBefore: (value) =>
          statedShape(value)?.map(
            (size, axis) => kept.get(value!)?.find((one) => one.axis === axis)?.size ?? size,
          ),
        sizeBefore: (value, axis) =>
          kept.get(value)?.find((one) => one.axis === axis)?.size ?? sizeAfter(value, axis),
        kept: (value, axis) => kept.get(value)?.find((one) => one.axis === axis)?.kept,
        replace: (input, tensor) =>
          node.setInput(
            input,
            own.addInitializer(node.inputs[input]?.name ?? `${node.output().name}_input`, tensor),
          ),
      })
  }
  // What was computed of the sizes before and is no size stays what it was.
  for (const { node, input, extents } of readings)
    fitTo(
      scope.graphs.get(node) ?? graph,
      node,
      input,
      extents.map(({ amount }) => amount),
    )
  removeDeadNodes(graph)
}

/** What is left of the axes of every value that was cut. */
type Kept = Map<Value, Remainder['axes']>

const sizeAfter = (value: Value, axis: number): number => statedShape(value)?.[axis] ?? 0

/** Collects which indices of each axis go. */
function indicesOf(cuts: Cuts): Map<Place, Set<number>> {
  const removed = new Map<Place, Set<number>>()
  for (const [group, channels] of cuts) {
    if (channels.length === 0) continue
    if (group.prunable !== true)
      throw new Error(`internal: group '${group.name}' cannot be cut: ${group.prunable}`)
    if (new Set(channels).size >= group.channels)
      throw new Error(`internal: all channels of group '${group.name}' are cut`)
    for (const { place, indices } of group.parts) {
      const set = removed.get(place) ?? new Set<number>()
      removed.set(place, set)
      for (const channel of channels) for (const index of indices[channel]!) set.add(index)
    }
  }
  return removed
}

/** What is left of one value, for all users or for one of them. */
interface Remainder {
  readonly value: Value
  readonly owner: Node | undefined
  readonly axes: {
    readonly axis: number
    /** The size before the cut. */
    readonly size: number
    readonly kept: readonly number[]
  }[]
}

function remaindersOf(removed: ReadonlyMap<Place, ReadonlySet<number>>): Remainder[] {
  const found: Remainder[] = []
  const known = new Map<Value, Remainder[]>()
  for (const [{ value, owner, axis, size }, indices] of removed) {
    const ofValue = known.get(value) ?? []
    known.set(value, ofValue)
    let remainder = ofValue.find((one) => one.owner === owner)
    if (!remainder) {
      remainder = { value, owner, axes: [] }
      ofValue.push(remainder)
      found.push(remainder)
    }
    const all = Array.from({ length: size }, (_, index) => index)
    remainder.axes.push({ axis, size, kept: all.filter((index) => !indices.has(index)) })
  }
  return found
}

/** Cuts a value, and gives the one that has been cut: a new one where one of several users gets its own. */
function apply(model: Model, { value, owner, axes }: Remainder): Value {
  if (value.tensor) {
    const tensor = axes.reduce((rest, { axis, kept }) => take(rest, axis, kept), value.tensor)
    if (owner) return giveOwn(model, owner, value, tensor)
    Object.assign(value, { tensor, type: { dtype: tensor.dtype, shape: tensor.dims } })
  } else if (value.type?.shape) {
    const sizes = new Map(axes.map(({ axis, kept }) => [axis, kept.length]))
    const shape = value.type.shape.map((dim, axis) => sizes.get(axis) ?? dim)
    value.type = { dtype: value.type.dtype, shape }
  }
  return value
}

/** Lets one of several users of a constant have a constant of its own. */
function giveOwn(model: Model, owner: Node, value: Value, tensor: Tensor): Value {
  const own = model.graph.addInitializer(value.name, tensor)
  for (const [index, input] of owner.inputs.entries())
    if (input === value) owner.setInput(index, own)
  return own
}

/** The tensor with only some indices along one axis. */
export function take(tensor: Tensor, axis: number, indices: readonly number[]): Tensor {
  const { dims, bytes, dtype } = tensor
  const outer = dims.slice(0, axis).reduce((product, dim) => product * dim, 1)
  const slices = outer * dims[axis]!
  const step = tensor.byteLength / slices
  if (!Number.isInteger(step) || tensor.strings)
    throw new Error(`internal: cannot cut a ${dtype} tensor [${dims.join(',')}]`)
  const result = new Uint8Array(outer * indices.length * step)
  let offset = 0
  for (let start = 0; start < slices; start += dims[axis]!)
    for (const index of indices) {
      const from = (start + index) * step
      result.set(bytes.subarray(from, from + step), offset)
      offset += step
    }
  return new Tensor(
    dtype,
    dims.map((dim, other) => (other === axis ? indices.length : dim)),
    result,
  )
}
