// The definition of a correct cut: the smaller model computes what the full one does where the same channels are gone
// from every sum and from every statistic.
import { expect } from '@jest/globals'
import { type Random, random } from '../../base/random.ts'
import { type Cuts, cutChannels } from '../../channels/cut.ts'
import { forecastMacs, forecastParameters } from '../../channels/forecast.ts'
import { channelGroups, type Group } from '../../channels/groups.ts'
import { prepareChannels } from '../../channels/prepare.ts'
import { build } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, type Graph, type Model, opsetOf, type Value } from '../../onnx/graph.ts'
import { countMacs, statedShape } from '../../onnx/multiplications.ts'
import { countParameters } from '../../onnx/parameters.ts'
import { type ArrayType, numbers, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { type AxisMasks, rewrite } from './masked-operators.ts'

/** Chooses a share of the channels of every prunable group, at least one and never all. */
export function randomCuts(groups: readonly Group[], share: number, source: Random): Cuts {
  return new Map(
    groups
      .filter((group) => group.prunable === true)
      .map((group) => {
        const count = Math.min(group.channels - 1, Math.max(1, Math.round(share * group.channels)))
        return [group, [...source.permutation(group.channels).slice(0, count)]]
      }),
  )
}

/** A copy of the model in which the given channels are gone: every operator computes with what remains. */
export function zeroed(model: Model, cuts: Cuts): Model {
  const copy = cloneModel(model)
  const masks = masksOf(cuts)
  const shapes = new Map<string, readonly number[]>()
  for (const { graph } of [model, copy])
    for (const value of valuesOf(graph)) shapes.set(value.name, statedShape(value) ?? [])
  const opset = opsetOf(model)
  rewriteGraph(copy.graph)
  return copy

  function rewriteGraph(graph: Graph): void {
    for (const node of graph.nodes) {
      for (const subgraph of node.subgraphs) rewriteGraph(subgraph)
      rewrite({
        ...{ g: build(graph, node), node, opset },
        masksOf: (value) => value && masks.get(value.name),
        shapeOf: (value) => shapes.get(value.name) ?? [],
      })
    }
  }
}

/** What remains of each axis of values, by their names; without constants that each user gets for its own. */
function masksOf(cuts: Cuts): ReadonlyMap<string, AxisMasks> {
  const masks = new Map<string, Map<number, Uint8Array>>()
  for (const [group, channels] of cuts)
    for (const { place, indices } of group.parts) {
      const { value, axis, size } = place
      if (place.owner) continue
      const axes = masks.get(value.name) ?? new Map<number, Uint8Array>()
      masks.set(value.name, axes)
      const mask = axes.get(axis) ?? new Uint8Array(size).fill(1)
      axes.set(axis, mask)
      for (const channel of channels) for (const index of indices[channel]!) mask[index] = 0
    }
  return masks
}

const valuesOf = (graph: Graph): Value[] => [
  ...[...graph.inputs, ...graph.initializers],
  ...[...allNodes(graph)].flatMap((node) =>
    [...node.inputs, ...node.outputs].filter((value) => value !== undefined),
  ),
]

/** Input for a model: what is not named is drawn, normal numbers for floats, 0 and 1 for whole numbers. */
export type Feeds = Readonly<Record<string, Tensor>>

/** Random input for every feed of a prepared model. */
export function randomFeeds(model: Model, source: Random, given: Feeds = {}): Feeds {
  return Object.fromEntries(
    model.graph.feeds.map(({ name, type }) => {
      const dims = statedShape({ type } as Value)
      if (given[name]) return [name, given[name]]
      if (!type || !dims) throw new Error(`the shape of input '${name}' is not known`)
      const draw = () => (type.dtype.startsWith('float') ? source.normal() : source.integer(2))
      return [
        name,
        tensorOf(type.dtype as ArrayType, dims, Array.from({ length: sizeOf(dims) }, draw)),
      ]
    }),
  )
}

/** All outputs of a model, as numbers. */
export const outputsOf = (model: Model, feeds: Feeds): Promise<ArrayLike<number>[]> =>
  withSession(model, { optimization: 'disabled' }, async (session) =>
    Object.values(await session.run(feeds)).map(numbers),
  )

/** How models are cut and fed. */
export interface CutOptions {
  /** Relative to the largest output; 1e-5 unless told. */
  readonly tolerance?: number
  readonly split?: 'heads' | 'width'
  /** Sizes of free dimensions besides the batch. */
  readonly dims?: Readonly<Record<string, number>>
  readonly feeds?: Feeds
  /** The share of every group that goes; 0.3 unless told. */
  readonly share?: number
}

/**
 * Cuts random channels of every prunable group and expects the same outputs as with these channels gone from the full
 * model, and the costs that were forecast.
 *
 * Returns the groups for further expectations.
 */
export async function expectSameAsZeroed(
  model: Model,
  seed: number,
  options: CutOptions = {},
): Promise<{ groups: Group[]; smaller: Model }> {
  const { tolerance = 1e-5, split, dims, share = 0.3 } = options
  const source = random(seed, 'cut')
  const smaller = await prepareChannels(model, 'model', dims)
  const groups = channelGroups(smaller, { ...(split && { split }) })
  const cuts = randomCuts(groups, share, source)
  const reference = zeroed(smaller, cuts)
  const feeds = randomFeeds(smaller, source, options.feeds)
  const full = await outputsOf(smaller, feeds)
  const counts = new Map([...cuts].map(([group, channels]) => [group, channels.length]))
  const forecasts = [forecastMacs(smaller), forecastParameters(smaller)]
  // Each remembers the cut before: other counts of all groups, and none of the first.
  const before = new Map([...counts].slice(1).map(([group]) => [group, 1]))
  for (const forecast of forecasts) forecast?.(before)
  const forecast = forecasts.map((each) => each?.(counts))
  cutChannels(smaller, cuts)
  expect([countMacs(smaller), countParameters(smaller).parameters]).toEqual(forecast)
  const [expected, got] = [await outputsOf(reference, feeds), await outputsOf(smaller, feeds)]
  let moved = cuts.size === 0
  for (const [index, output] of got.entries()) {
    const [wanted, before] = [expected[index]!, full[index]!]
    expect(output.length).toBe(wanted.length)
    let [largest, worst] = [1e-6, 0]
    for (let at = 0; at < wanted.length; at++) {
      largest = Math.max(largest, Math.abs(wanted[at]!))
      worst = Math.max(worst, Math.abs(output[at]! - wanted[at]!))
      if (!Number.isFinite(wanted[at]!)) throw new Error('the model gives what is no number')
    }
    // However small it is in the end, what a sigmoid gives has been rounded as 1 is.
    expect(worst).toBeLessThan(tolerance * largest + 2 ** -22)
    for (let at = 0; at < wanted.length && !moved; at++)
      moved = Math.abs(before[at]! - wanted[at]!) > 1e-3 * largest
  }
  // A comparison that any cut would pass proves nothing.
  expect(moved).toBe(true)
  return { groups, smaller }
}
