// Cutting channels out of a graph for good: weights get smaller, attributes and shapes follow.
import { statedShape } from '../onnx/cost.ts'
import type { Model, Node, Value } from '../onnx/graph.ts'
import { Tensor } from '../onnx/tensor.ts'
import type { Group } from './groups.ts'
import { rules } from './rules.ts'
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
  for (const remainder of remaindersOf(removed)) apply(model, remainder)
  for (const node of model.graph.nodes)
    if (touched.has(node))
      rules[node.opType]?.adjust?.(node, {
        sizeOf: (value, axis) => statedShape(value)?.[axis] ?? 0,
        replace: (input, tensor) =>
          node.setInput(input, model.graph.addInitializer(node.input(input).name, tensor)),
      })
  for (const value of [...model.graph.initializers])
    if (value.users.size === 0 && !model.graph.outputs.includes(value))
      model.graph.initializers.delete(value)
}

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
  readonly axes: { readonly axis: number; readonly kept: readonly number[] }[]
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
    remainder.axes.push({ axis, kept: all.filter((index) => !indices.has(index)) })
  }
  return found
}

function apply(model: Model, { value, owner, axes }: Remainder): void {
  if (value.tensor) {
    const tensor = axes.reduce((rest, { axis, kept }) => take(rest, axis, kept), value.tensor)
    if (owner) giveOwn(model, owner, value, tensor)
    else Object.assign(value, { tensor, type: { dtype: tensor.dtype, shape: tensor.dims } })
  } else if (value.type?.shape) {
    const sizes = new Map(axes.map(({ axis, kept }) => [axis, kept.length]))
    const shape = value.type.shape.map((dim, axis) => sizes.get(axis) ?? dim)
    value.type = { dtype: value.type.dtype, shape }
  }
}

/** Lets one of several users of a constant have a constant of its own. */
function giveOwn(model: Model, owner: Node, value: Value, tensor: Tensor): void {
  const own = model.graph.addInitializer(value.name, tensor)
  for (const [index, input] of owner.inputs.entries())
    if (input === value) owner.setInput(index, own)
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
