// What a cut would leave, counted without cutting: it does not depend on which channels of a group stay.
import { countMacs, parametersOf, statedShape } from '../onnx/cost.ts'
import type { Model, Node, Value } from '../onnx/graph.ts'
import { sizeOf } from '../onnx/tensor.ts'
import type { Group } from './groups.ts'

/** How many channels of which group would be cut. */
export type Counts = ReadonlyMap<Group, number>

/** Multiply-accumulates after a cut of so many channels; undefined where a shape is not known. */
export function macsAfter(model: Model, counts: Counts): number | undefined {
  const lost = losses(counts)
  return countMacs(model, (value) => {
    const shape = statedShape(value)
    return value && shape && remaining(shape, lost.get(value)?.get(undefined))
  })
}

/** Parameters after a cut of so many channels. */
export function parametersAfter(model: Model, counts: Counts): number {
  const lost = losses(counts)
  return parametersOf(model).reduce((sum, { value }) => sum + elementsAfter(value, lost), 0)
}

/** Bytes of the constants, those of subgraphs left out, after a cut of so many channels. */
export function constantBytesAfter({ graph }: Model, counts: Counts): number {
  const lost = losses(counts)
  let total = 0
  for (const value of graph.initializers) {
    const { byteLength, size } = value.tensor!
    total += size === 0 ? byteLength : (byteLength / size) * elementsAfter(value, lost)
  }
  return total
}

/** Elements of a constant after a cut, and of those that users of it get for their own. */
function elementsAfter(value: Value, lost: Losses): number {
  const { dims } = value.tensor!
  const ofValue = lost.get(value)
  const owners = [...(ofValue?.keys() ?? [])].filter((owner) => owner !== undefined)
  let total = 0
  // Owners get a constant of their own each; the shared one stays while anybody uses it.
  for (const owner of owners) total += sizeOf(remaining(dims, ofValue?.get(owner)))
  if (owners.length < value.users.size || owners.length === 0)
    total += sizeOf(remaining(dims, ofValue?.get(undefined)))
  return total
}

/** By value, by owner, by axis: how many indices go. */
type Losses = Map<Value, Map<Node | undefined, Map<number, number>>>

function losses(counts: Counts): Losses {
  const lost: Losses = new Map()
  for (const [group, count] of counts)
    for (const { place, indices } of count > 0 ? group.parts : []) {
      const ofValue = lost.get(place.value) ?? new Map<Node | undefined, Map<number, number>>()
      const axes = ofValue.get(place.owner) ?? new Map<number, number>()
      lost.set(place.value, ofValue.set(place.owner, axes))
      axes.set(place.axis, (axes.get(place.axis) ?? 0) + count * indices[0]!.length)
    }
  return lost
}

const remaining = (
  shape: readonly number[],
  lost: ReadonlyMap<number, number> | undefined,
): readonly number[] => shape.map((size, axis) => size - (lost?.get(axis) ?? 0))
