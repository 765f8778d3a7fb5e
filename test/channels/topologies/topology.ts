// What a topology is, and what is expected of it.
import { expect } from '@jest/globals'
import type { Group } from '../../../channels/groups.ts'
import { expectSameAsZeroed } from '../masking.ts'
import { type Feature, Net } from './net.ts'

/** Writes a network; `x` is an image `[3, 8, 8]`. */
export type Written = (net: Net, x: Feature) => void

/** A network, and its groups: the layers that make them and the channels, with the reason where none can be cut. */
export type Topology = readonly [Written, readonly string[]]

/** The usual reason at the end of a network. */
export const kept = "output 'y' of the model keeps its shape"

/** The head of {@link Net.classify}. */
export const head = `head 5: ${kept}`

/** A group in a line. */
const described = ({ producers, channels, prunable }: Group): string =>
  `${producers.map(({ name }) => name).join(' + ')} ${channels}${prunable === true ? '' : `: ${prunable}`}`

/** The model of a topology. */
export function modelOf(write: Written) {
  const net = new Net()
  write(net, net.input('x', [3, 8, 8]))
  return net.model
}

/** Expects the groups of a topology, and of a random cut what the model gives with these channels at zero. */
export async function expectTopology(
  [write, groups]: Topology,
  seeds: readonly number[] = [1],
): Promise<void> {
  for (const seed of seeds) {
    const found = await expectSameAsZeroed(modelOf(write), seed)
    expect(found.groups.map(described)).toEqual(groups)
  }
}
