import { describe, expect, it } from '@jest/globals'
import { channelGroups, type Group } from '../../../channels/groups.ts'
import { prepareChannels } from '../../../channels/prepare.ts'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { normalisations, normaliseNames } from '../../../stages/prune/normalise.ts'
import { rankChannels, scopeNames, topologyOf } from '../../../stages/prune/rank.ts'
import { classes, shape } from '../support.ts'

const model = await prepareChannels(
  buildArchitecture(
    { architecture: 'resnet', depth: 14, width: 8 },
    { ...oneInput(shape, classes), seed: 1 },
  ),
)
const groups = channelGroups(model).filter(({ prunable }) => prunable === true)

/** Scores that rise within a group, those of the first group far above those of all others. */
const scores = new Map(
  groups.map((group, at) => [
    group,
    Float64Array.from(
      { length: group.channels },
      (_, c) => (at === 0 ? 1000 : 1) * (c + 1 + at / 7),
    ),
  ]),
)
const limitOf = () => ({ least: 1, round: 1 })
const shares = (counts: ReadonlyMap<Group, number>) =>
  groups.map((group) => (counts.get(group) ?? 0) / group.channels)

describe('rankings', () => {
  it('compare all channels where the scope is global', () => {
    const ranking = rankChannels(scores, { scope: 'global', normalise: 'none', limitOf })
    expect(shares(ranking.counts(groups.length))[0]).toBe(0)
  })

  it('take the same share of every group where it is local', () => {
    const ranking = rankChannels(scores, { scope: 'local', normalise: 'none', limitOf })
    const taken = shares(ranking.counts(Math.round(ranking.length / 2)))
    expect(Math.max(...taken) - Math.min(...taken)).toBeLessThan(0.13)
  })

  it('take the same share of every topology where it is isomorphic, and compare within it', () => {
    const topologies = new Map<string, Group[]>()
    for (const group of groups)
      topologies.set(topologyOf(group), [...(topologies.get(topologyOf(group)) ?? []), group])
    // The stems of the stages differ; what is inside of blocks is alike.
    expect(topologies.size).toBeGreaterThan(1)
    expect(topologies.size).toBeLessThan(groups.length)
    const ranking = rankChannels(scores, { scope: 'isomorphic', normalise: 'none', limitOf })
    const counts = ranking.counts(Math.round(ranking.length / 4))
    const total = groups.reduce((sum, group) => sum + group.channels, 0)
    const gone = [...counts.values()].reduce((sum, count) => sum + count, 0)
    for (const own of topologies.values()) {
      const channels = own.reduce((sum, group) => sum + group.channels, 0)
      const taken = own.reduce((sum, group) => sum + (counts.get(group) ?? 0), 0)
      // To within one channel, but for the last one that every group keeps.
      expect(Math.abs(taken - (gone / total) * channels)).toBeLessThanOrEqual(1.5)
      if (own.length === 1) continue
      const scored = own.flatMap((group) => [...scores.get(group)!]).sort((a, b) => a - b)
      const limit = scored[taken - 1]!
      for (const group of own)
        expect(counts.get(group) ?? 0).toBe(
          Math.min(group.channels - 1, scores.get(group)!.filter((s) => s <= limit).length),
        )
    }
  })

  it('keep the order of every group, whatever the scope and the normalisation', () => {
    for (const scope of scopeNames)
      for (const normalise of normaliseNames) {
        const ranking = rankChannels(scores, { scope, normalise, limitOf })
        for (const [group, channels] of ranking.cuts(ranking.counts(ranking.length)))
          expect(channels).toEqual(Array.from({ length: group.channels - 1 }, (_, at) => at))
      }
  })
})

describe('normalisations', () => {
  const some = Float64Array.from([3, -1, 0.5, 2, 2, 7])

  it.each(normaliseNames)('%s keep the order, and zeros as they are', (name) => {
    const positive = some.map(Math.abs)
    const found = normalisations[name](positive)
    const order = (values: Float64Array) =>
      [...values.keys()].sort((a, b) => values[a]! - values[b]! || a - b)
    expect(order(found)).toEqual(order(positive))
    expect(normalisations[name](new Float64Array(3))).toEqual(new Float64Array(3))
  })

  it.each(['mean', 'max', 'sum', 'standard', 'gaussian', 'lamp'] as const)(
    '%s does not depend on the unit',
    (name) => {
      const [one, other] = [some, some.map((value) => value * 8)].map((values) =>
        normalisations[name](values.map(Math.abs)),
      )
      for (const [at, value] of one!.entries()) expect(other![at]).toBeCloseTo(value, 12)
    },
  )
})
