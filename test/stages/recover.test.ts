// Recovery: who teaches, with which losses, and what training with penalties leaves to be cut.
import { describe, expect, it } from '@jest/globals'
import { channelGroups } from '../../channels/groups.ts'
import { prepareChannels } from '../../channels/prepare.ts'
import { architectureOptions, buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { layersOf } from '../../onnx/layers.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { predict } from '../../runtime/predict.ts'
import { channelScores } from '../../stages/prune/scores.ts'
import { recover, recoverOptions } from '../../stages/recover.ts'
import type { Artifact } from '../../stages/stage.ts'
import { train } from '../../stages/train.ts'
import { tasks } from '../../tasks/index.ts'
import { classes, contextOf, data, shape } from './support.ts'

const input = { ...oneInput(shape, classes), seed: 1 }
const net = (seed = 1): Model =>
  buildArchitecture(
    architectureOptions.parse({ architecture: 'lenet', channels: [8, 12], hidden: [16] }),
    { ...input, seed },
  )

/** A copy with half of the weights of every layer gone. */
function damaged(model: Model): Model {
  const copy = cloneModel(model)
  liftConstants(copy)
  for (const { weight } of layersOf(copy.graph)) {
    const { dims } = weight.tensor!
    const values = elements(weight.tensor!, 'float32').map((value, at) => (at % 2 ? value : 0))
    weight.tensor = tensorOf('float32', dims, values)
  }
  return copy
}

/** How often two models decide alike on the test samples. */
async function agreement(one: Model, other: Model): Promise<number> {
  const [a, b] = [await predict(one, data.test), await predict(other, data.test)]
  const decided = (rows: typeof a) =>
    Array.from({ length: rows.size }, (_, index) => {
      const row = rows as unknown as { row(index: number): Float32Array }
      const values = row.row(index)
      return values.indexOf(Math.max(...values))
    })
  const [first, second] = [decided(a), decided(b)]
  return first.filter((label, index) => label === second[index]).length / first.length
}

describe('recovery', () => {
  // Nets that know nothing: what is learned of them shows who taught.
  const [unpruned, teacher] = [net(1), net(2)]
  const { context, messages } = contextOf(teacher)
  const artifact: Artifact = { model: damaged(unpruned), facts: { summary: 'cut' } }
  const options = (given: object = {}) =>
    recoverOptions.parse({
      epochs: 3,
      batch: 16,
      optimizer: { name: 'adamw', rate: 0.01 },
      ...given,
    })
  const kl = { loss: 'kl', temperature: 1 }

  it('learns from the unpruned model, not from the teacher of the recipe', async () => {
    const before = await agreement(artifact.model, unpruned)
    const losses = [kl]
    const { model, facts } = await recover(artifact, options({ losses }), context, { unpruned })
    expect(messages).toEqual(['unpruned model answers 256 training samples'])
    expect(await agreement(model, unpruned)).toBeGreaterThan(Math.max(0.8, before))
    expect(await agreement(model, teacher)).toBeLessThan(0.6)
    expect(facts.summary).toMatch(/^cut; trained 3 epochs/)
    expect(facts.taps).toBeUndefined()
    // Its answers are kept.
    await recover(artifact, options({ losses, epochs: 1 }), context, { unpruned, part: 'again' })
    expect(messages).toHaveLength(1)
  })

  it.each([
    ['the task’s distillation', {}, tasks.classification.distillation],
    ['labels', { labels: true }, tasks.classification.losses],
    ['given losses', { losses: [kl] }, [{ ...kl, weight: 1, standardise: false }]],
  ])('takes %s', async (_what, given, losses) => {
    const done = await recover(
      { ...artifact, facts: { losses: [] } },
      options({ epochs: 1, ...given }),
      contextOf(teacher).context,
      { unpruned },
    )
    expect(done.facts.losses).toEqual(losses)
  })

  it('asks nobody where there are labels', async () => {
    const { context: own, messages: said } = contextOf(teacher)
    await recover(artifact, options({ epochs: 1, labels: true }), own, { unpruned })
    expect(said).toEqual([])
  })

  it('learns from the teacher of the recipe where it is asked to', async () => {
    const { context: own, messages: said } = contextOf(teacher)
    await recover(artifact, options({ epochs: 1, teacher: 'recipe' }), own, { unpruned })
    expect(said).toEqual(['teacher answers 256 training samples'])
  })

  it('says that there are no labels', async () => {
    const own = { ...context, task: tasks.match }
    await expect(recover(artifact, options({ labels: true }), own, { unpruned })).rejects.toThrow(
      /^recover\.labels: the samples of this task have no labels/,
    )
  })

  it('refuses labels beside losses', () => {
    const found = recoverOptions.safeParse({ labels: true, losses: [kl] })
    expect(found.error?.issues[0]?.message).toContain('does not go with losses')
  })
})

describe('training with penalties', () => {
  const residual = buildArchitecture({ architecture: 'resnet', depth: 8, width: 8 }, input)
  const trained = async (penalties: readonly object[], model = residual): Promise<Model> => {
    const all = { stage: 'train', epochs: 3, batch: 16, penalties, keep: 'last' }
    const optimizer = { name: 'sgd', rate: 0.05, momentum: 0.9, weightDecay: 0 }
    const options = train.options.parse({ ...all, optimizer, schedule: 'constant' })
    return (await train.run({ model, facts: {} }, options, contextOf(model).context)).model
  }

  /** The importance of all channels that can be cut, by group. */
  const scoresOf = async (model: Model, criterion: 'l1' | 'bn-scale') => {
    const prepared = await prepareChannels(model)
    const groups = channelGroups(prepared).filter(({ prunable }) => prunable === true)
    const { context } = contextOf(model)
    const scores = await channelScores(prepared, groups, { criterion }, context, model)
    return groups.map((group) => [...scores.get(group)!])
  }
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length

  it('slimming makes scales small, which bn-scale finds', async () => {
    const slim = await trained([{ penalty: 'slimming', weight: 0.05 }])
    const [before, after] = [await scoresOf(residual, 'bn-scale'), await scoresOf(slim, 'bn-scale')]
    expect(mean(after.flat())).toBeLessThan(0.7 * mean(before.flat()))
    const small = (scores: number[][]) => scores.flat().filter((score) => score < 0.05).length
    expect(small(before)).toBe(0)
    expect(small(after)).toBeGreaterThan(0)
  })

  it('group lasso makes whole channels small', async () => {
    const sparse = await trained([{ penalty: 'group-lasso', weight: 0.005 }])
    const [before, after] = [await scoresOf(residual, 'l1'), await scoresOf(sparse, 'l1')]
    const spread = (scores: number[][]) =>
      mean(scores.map((own) => Math.min(...own) / Math.max(...own)))
    expect(mean(after.flat())).toBeLessThan(mean(before.flat()))
    expect(spread(after)).toBeLessThan(0.7 * spread(before))
  })

  it('growing regularisation pushes the share that is to go to nothing', async () => {
    const pushed = await trained([{ penalty: 'growing', share: 0.25 }])
    const starts = await scoresOf(residual, 'l1')
    for (const [index, scores] of (await scoresOf(pushed, 'l1')).entries()) {
      const sorted = scores.toSorted((a, b) => a - b)
      const count = Math.round(0.25 * scores.length)
      const start = starts[index]!
      const least = [...start.keys()].sort((a, b) => start[a]! - start[b]!).slice(0, count)
      // The channels that were least important at the start are the smallest, by far.
      expect(new Set([...scores.keys()].filter((at) => scores[at]! < sorted[count]!))).toEqual(
        new Set(least),
      )
      expect(sorted[count - 1]!).toBeLessThan(0.3 * sorted[count]!)
    }
  })

  it('goes with recovery, and says so where there is nothing to penalise', async () => {
    const model = net()
    const penalties = [{ penalty: 'slimming' }]
    const options = recoverOptions.parse({ epochs: 1, penalties })
    await expect(
      recover({ model, facts: {} }, options, contextOf(model).context, { unpruned: model }),
    ).rejects.toThrow(/^penalties\.slimming: model has no BatchNormalization that is trained/)
  })
})
