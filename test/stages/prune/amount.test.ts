import { describe, expect, it } from '@jest/globals'
import type { Group } from '../../../channels/groups.ts'
import { architectureOptions, buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import type { Model } from '../../../onnx/graph.ts'
import { layersOf } from '../../../onnx/layers.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { predict } from '../../../runtime/predict.ts'
import { prune } from '../../../stages/prune/index.ts'
import { measuredCounts } from '../../../stages/prune/latency.ts'
import { chooseWidths } from '../../../stages/prune/widths.ts'
import type { Artifact, StageContext } from '../../../stages/stage.ts'
import { conditionalModel } from '../../support/conditional.ts'
import { classes, contextOf, data, shape } from '../support.ts'

const lenet = buildArchitecture(
  architectureOptions.parse({ architecture: 'lenet', channels: [8, 12] }),
  { ...oneInput(shape, classes), seed: 1 },
)
const resnet = buildArchitecture(
  { architecture: 'resnet', depth: 8, width: 8 },
  { ...oneInput(shape, classes), seed: 1 },
)

const pruned = (model: Model, options: object, context: StageContext): Promise<Artifact> =>
  prune.run(
    { model, facts: {} },
    prune.options.parse({ stage: 'prune', structure: 'channels', ...options }),
    context,
  )

const widthsOf = ({ graph }: Model): number[] =>
  layersOf(graph).map(({ weight }) => weight.tensor!.dims[0]!)

describe('the amount of pruning', () => {
  const { context } = contextOf(lenet)

  it('is a share of the bytes of the file, exactly', async () => {
    const { model } = await pruned(lenet, { target: { bytes: 0.5 } }, context)
    const share = serializeModel(model).length / serializeModel(lenet).length
    expect(share).toBeLessThanOrEqual(0.5)
    expect(share).toBeGreaterThan(0.45)
  })

  it('counts the bytes of branches', async () => {
    const whole = conditionalModel()
    const { model } = await pruned(whole, { target: { bytes: 0.6 } }, context)
    const share = serializeModel(model).length / serializeModel(whole).length
    expect(share).toBeLessThanOrEqual(0.6)
    expect(share).toBeGreaterThan(0.5)
  })

  it('heeds the limits of single layers, of which the last counts', async () => {
    const [first] = layersOf(lenet.graph)
    const limits = { '*': { round: 3 }, [first!.name]: { keep: 0.75, round: 2 } }
    const { model } = await pruned(lenet, { target: { macs: 0.5 }, limits }, context)
    const widths = widthsOf(model)
    expect(widths[0]).toBeGreaterThanOrEqual(6)
    expect(widths[0]! % 2).toBe(0)
    for (const width of widths.slice(1, -1)) expect(width % 3).toBe(0)
  })

  it.each([
    [{ limits: { nothing: { keep: 0.5 } } }, /^limits: matches no layer: 'nothing'/],
    [{ keep: 0, target: { macs: 0.0001 } }, /^target\.macs: cannot be reached: .* is the least/],
    [{ target: { bytes: 0.001 } }, /^target\.bytes: cannot be reached: 0\.001 — 0\.\d+ is/],
    [{ structure: 'heads' }, /^structure: there are no heads to cut: the channels of \d+ groups/],
    [
      { target: { latency: { coreml: 0.5 } } },
      /^target\.latency\.coreml: the provider is not available: .+/,
    ],
  ])('says what is wrong with %j', async (options, message) => {
    await expect(pruned(lenet, { target: { macs: 0.5 }, ...options }, context)).rejects.toThrow(
      message,
    )
  })

  it.each([
    [{ latency: { cpu: 0.5, batch: [1, 1] } }, 'names a size twice'],
    [{ latency: { cpu: [0.5, 0.6] } }, 'has 2 shares for 1 batch sizes'],
    [{ latency: { batch: 1 } }, 'expected a share for a provider'],
    [{ latency: { gpu: 0.5 } }, 'gpu'],
    [{ latency: { cpu: 0.5 }, macs: 0.5 }, 'expected exactly one of'],
  ])('refuses the target %j', (target, message) => {
    const { error } = prune.options.safeParse({ stage: 'prune', structure: 'channels', target })
    expect(error?.issues.map((issue) => issue.message).join()).toContain(message)
  })

  it('leaves the residual path alone where filters go', async () => {
    const { model } = await pruned(resnet, { structure: 'filters', target: { macs: 0.7 } }, context)
    const before = widthsOf(resnet)
    const after = widthsOf(model)
    expect(after[0]).toBe(before[0])
    expect(after.some((width, at) => width < before[at]!)).toBe(true)
    expect((await predict(model, data.test)).outputs).toHaveLength(64 * classes)
  })
})

describe('a target of measured latency', () => {
  it('measures widths that vectors like', () => {
    const limit = { least: 1, round: 1 }
    const left = (channels: number, round = 1) =>
      measuredCounts({ channels }, { ...limit, round }).map((count) => channels - count)
    expect(left(64)).toEqual([56, 48, 40, 32, 24, 16, 8])
    expect(left(16)).toEqual([12, 8, 4])
    expect(left(256)).toEqual([224, 192, 160, 128, 96, 64, 32])
    expect(left(32, 16)).toEqual([16])
    expect(left(4)).toEqual([3, 2, 1])
  })
})

describe('ratios by sensitivity', () => {
  it('reach the target, and are measured once', async () => {
    const { context, messages } = contextOf(resnet)
    const options = { target: { parameters: 0.5 }, ratios: 'auto', shares: [0.25, 0.5, 0.75] }
    const { facts } = await pruned(resnet, options, context)
    const share = Number(facts.summary!.match(/([\d.]+) % of parameters/)![1])
    expect(share).toBeLessThanOrEqual(50)
    expect(share).toBeGreaterThan(45)
    const told = () => messages.find((line) => line.startsWith('sensitivity: '))
    expect(told()).toMatch(/^sensitivity: [1-9]\d* cuts measured on 64 validation samples/)
    messages.length = 0
    await pruned(resnet, options, context)
    expect(told()).toMatch(/^sensitivity: 0 cuts measured/)
  })
})

describe('choosing widths', () => {
  const group = (name: string) => ({ name }) as Group
  const [a, b] = [group('a'), group('b')]
  const choices = new Map([
    [a, [1, 2]],
    [b, [1, 2]],
  ])
  /** Each channel of `a` saves 0.1, of `b` 0.2. */
  const share = (counts: ReadonlyMap<Group, number>) =>
    1 - 0.1 * (counts.get(a) ?? 0) - 0.2 * (counts.get(b) ?? 0)
  const chosen = (limit: number, lost: (group: Group, count: number) => number) => {
    const counts = chooseWidths({ choices, lost, goals: [{ share, limit }] })
    return counts && [counts.get(a) ?? 0, counts.get(b) ?? 0]
  }

  it('takes what saves most for what it costs, and no more than is needed', () => {
    expect(chosen(0.8, (_, count) => count)).toEqual([0, 1])
    expect(chosen(0.8, (one, count) => (one === b ? 5 : 1) * count)).toEqual([2, 0])
    expect(chosen(0.45, (_, count) => count)).toEqual([2, 2])
  })

  it('knows what cannot be had', () => {
    expect(chosen(0.39, (_, count) => count)).toBeUndefined()
  })
})
