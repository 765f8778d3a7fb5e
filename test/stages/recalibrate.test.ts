// Recalibration: means and statistics are those that they should be, without training or labels.
import { describe, expect, it } from '@jest/globals'
import { cutChannels } from '../../channels/cut.ts'
import { channelGroups } from '../../channels/groups.ts'
import { prepareChannels, restoreInterface } from '../../channels/prepare.ts'
import { architectureOptions, buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model, Node } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements } from '../../onnx/tensor.ts'
import { inferTypes } from '../../runtime/shapes.ts'
import { type KeptChannels, keptAfter, keptChannels } from '../../stages/kept-channels.ts'
import { channelMeans } from '../../stages/recalibrate/channel-means.ts'
import { recalibrate, recalibrateOptions } from '../../stages/recalibrate.ts'
import { classes, contextOf, shape } from './support.ts'

const input = { ...oneInput(shape, classes), seed: 1 }
const build = (options: object) => buildArchitecture(architectureOptions.parse(options), input)
const lenet = build({ architecture: 'lenet', channels: [8, 12] })
const resnet = build({ architecture: 'resnet', depth: 8, width: 8 })

/** The model without every third channel of every group, and which are left. */
async function cut(model: Model): Promise<{ model: Model; kept: KeptChannels }> {
  const copy = await prepareChannels(model)
  const cuts = new Map(
    channelGroups(copy)
      .filter(({ prunable }) => prunable === true)
      .map((group) => [
        group,
        Array.from({ length: group.channels }, (_, index) => index).filter((at) => at % 3 === 1),
      ]),
  )
  const kept = keptChannels(cuts)
  cutChannels(copy, cuts)
  restoreInterface(copy, model)
  return { model: copy, kept }
}

const { context } = contextOf(lenet)
const set = (options: object) => recalibrateOptions.parse({ samples: 64, ...options })

/** The means of a node's output, by channel. */
async function meansOf(model: Model, name: string, axis: number): Promise<number[]> {
  const types = await inferTypes(model)
  const [, type] = [...types].find(([value]) => value.name === name)!
  const rank = type.shape!.length
  const value = { name, axis, rank, channels: Number(type.shape![axis]) }
  return [...(await channelMeans(model, [value], 64, context)).get(name)!]
}

const nodesOf = ({ graph }: Model, ...types: string[]): Node[] =>
  graph.nodes.filter(({ opType }) => types.includes(opType))

const furthest = (one: readonly number[], other: readonly number[]): number =>
  Math.max(...one.map((value, index) => Math.abs(value - other[index]!)))

describe('bias correction', () => {
  it.each([
    ['lenet', lenet],
    ['resnet', resnet],
  ])('gives every layer of a cut %s the mean of the original', async (_name, original) => {
    const { model, kept } = await cut(original)
    const before = Buffer.from(serializeModel(model))
    const done = await recalibrate(model, original, set({ methods: ['bias'] }), context, kept)
    expect(done.summary).toMatch(/^corrected the biases of \d+ layers$/)
    expect(before.equals(serializeModel(model))).toBe(true)
    const layers = nodesOf(done.model, 'BatchNormalization', 'Gemm').concat(
      original === lenet ? nodesOf(done.model, 'Conv') : [],
    )
    expect(layers.length).toBeGreaterThan(2)
    const moved: number[] = []
    for (const node of layers) {
      const { name } = node.output()
      const left = kept.get(name)?.get(1)
      const there = await meansOf(original, name, 1)
      const goal = left ? left.map((index) => there[index]!) : there
      moved.push(furthest(await meansOf(model, name, 1), goal))
      expect(furthest(await meansOf(done.model, name, 1), goal)).toBeLessThan(1e-5)
    }
    // Nothing was cut before the first layer.
    expect(moved.filter((distance) => distance > 1e-3)).toHaveLength(layers.length - 1)
  })

  it('leaves layers alone of which nothing says what is left', async () => {
    const { model } = await cut(lenet)
    const { summary } = await recalibrate(model, lenet, set({ methods: ['bias'] }), context)
    // Only the last layer is as wide as before.
    expect(summary).toMatch(/^corrected the biases of 1 layers \(\d have no counterpart\)$/)
  })

  it('changes nothing where nothing was cut', async () => {
    const { model } = await recalibrate(lenet, lenet, set({ methods: ['bias'] }), context)
    for (const node of nodesOf(model, 'Conv', 'Gemm')) {
      const own = lenet.graph.nodes.find(({ name }) => name === node.name)!
      const [one, other] = [node, own].map((each) => [
        ...elements(each.input(2).tensor!, 'float32'),
      ])
      expect(furthest(one!, other!)).toBeLessThan(1e-7)
    }
  })
})

describe('re-estimation of BatchNormalization', () => {
  it('gives every norm the mean and variance of what goes in', async () => {
    const { model } = await cut(resnet)
    const done = await recalibrate(
      model,
      resnet,
      set({ methods: ['batch-normalization'] }),
      context,
    )
    expect(done.summary).toBe('took the statistics of 9 BatchNormalization anew from 64 samples')
    // All samples were one batch: the answers are those of training form, whose means are the shifts.
    for (const node of nodesOf(done.model, 'BatchNormalization')) {
      const [x, y] = [node.input(0), node.output()].map(({ name }) => name)
      const means = await meansOf(done.model, x!, 1)
      expect(furthest(means, [...elements(node.input(3).tensor!, 'float32')])).toBeLessThan(1e-4)
      const shifts = [...elements(node.input(2).tensor!, 'float32')]
      expect(furthest(await meansOf(done.model, y!, 1), shifts)).toBeLessThan(1e-4)
    }
  })

  it('takes samples as they are fed, whatever the batches', async () => {
    const options = { methods: ['batch-normalization'] }
    const [one, two] = [
      await recalibrate(resnet, resnet, set({ ...options, samples: 128 }), context),
      await recalibrate(resnet, resnet, set({ ...options, samples: 100 }), context),
    ]
    expect(one.summary).toContain('from 128 samples')
    expect(two.summary).toContain('from 64 samples')
    const bytes = Buffer.from(serializeModel(one.model))
    expect(bytes.equals(serializeModel(two.model))).toBe(false)
  })

  it('says so where there is no norm', async () => {
    const { summary } = await recalibrate(
      lenet,
      lenet,
      set({ methods: ['batch-normalization'] }),
      context,
    )
    expect(summary).toBe('there is no BatchNormalization')
  })
})

it('recalibration needs data', async () => {
  const bare = { ...context, data: undefined }
  await expect(recalibrate(lenet, lenet, set({}), bare)).rejects.toThrow(
    /^recalibrate: needs calibration/,
  )
})

it('says what two cuts leave', () => {
  const first = new Map([['x', new Map([[1, [0, 2, 3, 5]]])]])
  const second = new Map([
    ['x', new Map([[1, [1, 3]]])],
    ['y', new Map([[2, [0]]])],
  ])
  expect(keptAfter(first, second)).toEqual(
    new Map([
      ['x', new Map([[1, [2, 5]]])],
      ['y', new Map([[2, [0]]])],
    ]),
  )
})
