// The definition of a correct cut: the smaller model computes what the full one does with the same channels zeroed
// wherever something multiplies them.
import { expect } from '@jest/globals'
import { type Random, random } from '../../base/random.ts'
import { type Cuts, cutChannels } from '../../channels/cut.ts'
import { macsAfter, parametersAfter } from '../../channels/forecast.ts'
import { channelGroups, type Group } from '../../channels/groups.ts'
import { prepareChannels } from '../../channels/prepare.ts'
import { build } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { countMacs, countParameters, multiplications } from '../../onnx/cost.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'

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

/** A copy of the model in which every operator that multiplies sees zeros in place of the given channels. */
export function zeroed(model: Model, cuts: Cuts): Model {
  const copy = cloneModel(model)
  const masks = new Map<string, Tensor>()
  for (const [group, channels] of cuts)
    for (const { place, indices } of group.parts) {
      const { value, axis, size } = place
      if (value.tensor) continue
      const rank = value.type!.shape!.length
      const dims = Array.from({ length: rank }, (_, other) => (other === axis ? size : 1))
      const key = `${axis} ${value.name}`
      const mask = masks.get(key) ?? tensorOf('float32', dims, new Float32Array(size).fill(1))
      masks.set(key, mask)
      for (const channel of channels)
        for (const index of indices[channel]!) elements(mask, 'float32')[index] = 0
    }
  for (const node of copy.graph.nodes)
    for (const [index, input] of node.inputs.entries()) {
      if (!input || !(node.opType in multiplications)) continue
      let value: Value = input
      for (const [key, mask] of masks)
        if (key.slice(key.indexOf(' ') + 1) === input.name)
          value = build(copy.graph, node).Mul(value, mask)
      node.setInput(index, value)
    }
  return copy
}

/** Random input for every feed of a prepared model. */
export function randomFeeds(model: Model, source: Random): Record<string, Tensor> {
  return Object.fromEntries(
    model.graph.feeds.map(({ name, type }) => {
      const dims = type!.shape as number[]
      const data = Float32Array.from({ length: sizeOf(dims) }, () => source.normal())
      return [name, tensorOf('float32', dims, data)]
    }),
  )
}

/** All outputs of a model, as numbers. */
export const outputsOf = (
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Float32Array[]> =>
  withSession(model, { optimization: 'disabled' }, async (session) =>
    Object.values(await session.run(feeds)).map((tensor) => elements(tensor, 'float32')),
  )

/**
 * Cuts random channels of every prunable group and expects the same outputs as with these channels zeroed, and the
 * costs that were forecast.
 *
 * Differences are relative to the largest output. Returns the groups for further expectations.
 */
export async function expectSameAsZeroed(
  model: Model,
  seed: number,
  tolerance = 1e-5,
): Promise<{ groups: Group[]; smaller: Model }> {
  const source = random(seed, 'cut')
  const smaller = await prepareChannels(model)
  const groups = channelGroups(smaller)
  const cuts = randomCuts(groups, 0.3, source)
  const reference = zeroed(smaller, cuts)
  const feeds = randomFeeds(smaller, source)
  const full = await outputsOf(smaller, feeds)
  const counts = new Map([...cuts].map(([group, channels]) => [group, channels.length]))
  const forecast = [macsAfter(smaller, counts), parametersAfter(smaller, counts)]
  cutChannels(smaller, cuts)
  expect([countMacs(smaller), countParameters(smaller).parameters]).toEqual(forecast)
  const [expected, got] = [await outputsOf(reference, feeds), await outputsOf(smaller, feeds)]
  let moved = false
  for (const [index, output] of got.entries()) {
    const wanted = expected[index]!
    expect(output.length).toBe(wanted.length)
    const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6)
    const worst = output.reduce((most, v, at) => Math.max(most, Math.abs(v - wanted[at]!)), 0)
    expect(worst / largest).toBeLessThan(tolerance)
    moved ||= full[index]!.some((value, at) => Math.abs(value - wanted[at]!) > 1e-3 * largest)
  }
  // A comparison that any cut would pass proves nothing.
  expect(moved).toBe(true)
  return { groups, smaller }
}
