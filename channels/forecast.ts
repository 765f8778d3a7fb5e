// What a cut would leave, counted without cutting: it does not depend on which channels of a group stay.

import { allNodes, type Graph, type Model, type Node, type Value } from '../onnx/graph.ts'
import { countMacs, macsOf, multiplications, statedShape } from '../onnx/multiplications.ts'
import { parametersOf } from '../onnx/parameters.ts'
import { sizeOf } from '../onnx/tensor.ts'
import type { Group } from './groups.ts'

/** How many channels of which group would be cut. */
export type Counts = ReadonlyMap<Group, number>

/**
 * Counts what cuts of so many channels would leave of a model.
 *
 * It remembers the cut it was last asked for: of another one, it counts only what the groups that differ take part in.
 */
export type Forecast = (counts: Counts) => number

/** Forecasts multiply-accumulates; undefined where a shape is not known. */
export function forecastMacs(model: Model): Forecast | undefined {
  if (countMacs(model) === undefined) return undefined
  return forecast(
    [...allNodes(model.graph)].filter(({ opType }) => opType in multiplications),
    ({ inputs, outputs }) => [...inputs, ...outputs],
    (node, lost) =>
      macsOf(node, (value) => {
        const shape = statedShape(value)
        return value && shape && remaining(shape, lost.get(value)?.get(undefined))
      })!,
  )
}

/** Forecasts the number of parameters. */
export const forecastParameters = (model: Model): Forecast =>
  forecast(
    parametersOf(model).map(({ value }) => value),
    (value) => [value],
    elementsAfter,
  )

/** Forecasts the bytes of the constants. */
export const forecastConstantBytes = ({ graph }: Model): Forecast =>
  forecast(
    constantsOf(graph),
    (value) => [value],
    (value, lost) => {
      const { byteLength, size } = value.tensor!
      return size === 0 ? byteLength : (byteLength / size) * elementsAfter(value, lost)
    },
  )

/** The constants of a graph and of those inside it. */
const constantsOf = ({ initializers, nodes }: Graph): Value[] => [
  ...initializers,
  ...nodes.flatMap(({ subgraphs }) => subgraphs.flatMap(constantsOf)),
]

/** The sum over items of what each costs, which depends on the values that it has. */
function forecast<Item>(
  items: readonly Item[],
  valuesOf: (item: Item) => readonly (Value | undefined)[],
  costOf: (item: Item, lost: Losses) => number,
): Forecast {
  const lost: Losses = new Map()
  const costs = new Map(items.map((item) => [item, costOf(item, lost)]))
  const itemsOf = new Map<Value | undefined, Item[]>()
  for (const item of items)
    for (const value of valuesOf(item)) {
      const known = itemsOf.get(value)
      if (known) known.push(item)
      else itemsOf.set(value, [item])
    }
  let total = [...costs.values()].reduce((sum, cost) => sum + cost, 0)
  let last: Counts = new Map()
  return (counts) => {
    const touched = new Set<Item>()
    for (const group of new Set([...last.keys(), ...counts.keys()])) {
      const more = (counts.get(group) ?? 0) - (last.get(group) ?? 0)
      if (more === 0) continue
      lose(lost, group, more)
      for (const { place } of group.parts)
        for (const item of itemsOf.get(place.value) ?? []) touched.add(item)
    }
    last = new Map(counts)
    for (const item of touched) {
      const cost = costOf(item, lost)
      total += cost - costs.get(item)!
      costs.set(item, cost)
    }
    return total
  }
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

/** Takes so many more channels of a group, or gives them back where they are less than none. */
function lose(lost: Losses, { parts }: Group, more: number): void {
  for (const { place, indices } of parts) {
    const ofValue = lost.get(place.value) ?? new Map<Node | undefined, Map<number, number>>()
    const axes = ofValue.get(place.owner) ?? new Map<number, number>()
    lost.set(place.value, ofValue.set(place.owner, axes))
    const gone = (axes.get(place.axis) ?? 0) + more * indices[0]!.length
    if (gone > 0) axes.set(place.axis, gone)
    else axes.delete(place.axis)
    if (axes.size === 0) ofValue.delete(place.owner)
  }
}

const remaining = (
  shape: readonly number[],
  lost: ReadonlyMap<number, number> | undefined,
): readonly number[] => shape.map((size, axis) => size - (lost?.get(axis) ?? 0))
