// Reconstruction: errors never grow, and vanish where what is gone can be made up for.
import { describe, expect, it } from '@jest/globals'
import { cutChannels } from '../../../channels/cut.ts'
import { channelGroups } from '../../../channels/groups.ts'
import { prepareChannels, restoreInterface } from '../../../channels/prepare.ts'
import { newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model } from '../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { predict } from '../../../runtime/predict.ts'
import { matrixLayersOf } from '../../../stages/prune/matrix-layers.ts'
import { reconstructChannels, reconstructWeights } from '../../../stages/prune/reconstruct.ts'
import type { StageContext } from '../../../stages/stage.ts'
import { contextFor, convNet, mlp, normals } from './small-nets.ts'

/** Cuts some channels of each group that can be cut; gives the smaller model before and after reconstruction. */
async function cut(model: Model, context: StageContext, channels: readonly number[], samples = 64) {
  const prepared = await prepareChannels(model)
  const groups = channelGroups(prepared).filter(({ prunable }) => prunable === true)
  const cuts = new Map(groups.map((group) => [group, channels]))
  cutChannels(prepared, cuts)
  restoreInterface(prepared, model)
  const plain = cloneModel(prepared)
  const found = await reconstructChannels(prepared, model, cuts, samples, context)
  return { plain, fitted: prepared, found }
}

/** Σ (y - y′)² over Σ y². */
async function distance(model: Model, other: Model, context: StageContext): Promise<number> {
  const [a, b] = await Promise.all(
    [model, other].map(async (each) => (await predict(each, context.data!.test)).outputs),
  )
  const energy = a!.reduce((sum, value) => sum + value ** 2, 0)
  return a!.reduce((sum, value, at) => sum + (value - b![at]!) ** 2, 0) / energy
}

/** x `[N, 2, 6, 6]` → Conv, of whose 6 channels the last two are sums of others → Conv, in groups or not → Conv. */
function dependent(groups: number): Model {
  const { model, g } = newModel('dependent')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 2, 6, 6] })
  const first = elements(normals([6, 2, 3, 3], 'first'), 'float32').slice()
  for (let at = 0; at < 18; at++) {
    first[2 * 18 + at] = first[at]! - 2 * first[18 + at]!
    first[5 * 18 + at] = first[3 * 18 + at]! + 3 * first[4 * 18 + at]!
  }
  const inner = g.Conv(x, g.constant(tensorOf('float32', [6, 2, 3, 3], first), 'first'))
  const bias = g.constant(normals([4], 'shift'), 'shift')
  const second = g.constant(normals([4, 6 / groups, 2, 2], 'second'), 'second')
  g.output('y', g.Conv(inner, second, bias, { group: groups, pads: [1, 1, 0, 0] }))
  return model
}

describe('reconstruction of channels', () => {
  it.each([1, 2])('is exact where what is cut is a sum of others, in %i groups', async (groups) => {
    const model = dependent(groups)
    const context = contextFor(model, [2, 6, 6])
    // In two groups the third channel of both goes at once.
    const { plain, fitted, found } = await cut(model, context, groups === 1 ? [2, 5] : [2])
    expect(await distance(model, plain, context)).toBeGreaterThan(0.05)
    expect(await distance(model, fitted, context)).toBeLessThan(1e-8)
    expect(found).toHaveLength(1)
    expect(found[0]!.after).toBeLessThan(1e-6)
  })

  it.each<[string, () => Model, number[], number[]]>([
    ['convolutions', convNet, [2, 6, 6], [1, 3]],
    ['a dense net', mlp, [8], [0, 4]],
  ])(
    'makes the errors of %s smaller, layer by layer and at the end',
    async (_, net, shape, gone) => {
      const model = net()
      const context = contextFor(model, shape, 96)
      const { plain, fitted, found } = await cut(model, context, gone, 96)
      for (const { before, after } of found) expect(after).toBeLessThan(before)
      expect(await distance(model, fitted, context)).toBeLessThan(
        0.9 * (await distance(model, plain, context)),
      )
    },
  )

  it('changes nothing by samples that say nothing', async () => {
    const model = mlp()
    // Four samples for six unknowns: what is fitted to three of them has to hold on the fourth.
    const context = contextFor(model, [8], 4)
    const { found } = await cut(model, context, [2, 3], 4)
    for (const { before, after } of found) expect(after).toBeLessThanOrEqual(before)
  })

  it('has a least-squares solution: no other weights are better', async () => {
    const model = mlp()
    const context = contextFor(model, [8], 400)
    const { fitted, found } = await cut(model, context, [2, 3], 400)
    const [weight] = [...fitted.graph.initializers].filter(({ name }) => name === 'w2')
    const best = weight!.tensor!
    const least = await distance(model, fitted, context)
    expect(least).toBeCloseTo(found[0]!.after, 6)
    for (const at of [0, 5, 9, 15])
      for (const by of [-0.1, 0.1]) {
        const moved = elements(best, 'float32').slice()
        moved[at]! += by
        weight!.tensor = tensorOf('float32', best.dims, moved)
        expect(await distance(model, fitted, context)).toBeGreaterThan(0.999 * least)
      }
  })
})

describe('reconstruction of weights', () => {
  /** Zeroes every third weight of some initializers, and fits the others. */
  async function masked(model: Model, context: StageContext, names: readonly string[]) {
    const copy = cloneModel(model)
    const masks = new Map<string, Float32Array>()
    for (const value of copy.graph.initializers) {
      if (!names.includes(value.name)) continue
      const weights = elements(value.tensor!, 'float32')
      const mask = Float32Array.from(weights, (_, at) => ((at * at + at) % 3 === 0 ? 0 : 1))
      masks.set(value.name, mask)
      value.tensor = tensorOf(
        'float32',
        value.tensor!.dims,
        weights.map((weight, at) => weight * mask[at]!),
      )
    }
    const plain = cloneModel(copy)
    const found = await reconstructWeights(copy, model, masks, 96, context)
    return { plain, fitted: copy, found, masks }
  }

  it.each<[string, () => Model, number[], string[]]>([
    ['convolutions', convNet, [2, 6, 6], ['f1', 'f2', 'w3']],
    ['a dense net', mlp, [8], ['w1', 'w2']],
  ])('makes the errors of %s smaller, and leaves zeros alone', async (_, net, shape, names) => {
    const model = net()
    const context = contextFor(model, shape, 96)
    const { plain, fitted, found, masks } = await masked(model, context, names)
    expect(found.map(({ name }) => name)).toHaveLength(names.length)
    for (const { before, after } of found) expect(after).toBeLessThan(before)
    for (const { weight } of matrixLayersOf(fitted.graph))
      for (const [at, value] of elements(weight.tensor!, 'float32').entries())
        if (masks.get(weight.name)?.[at] === 0) expect(Math.abs(value)).toBe(0)
    expect(await distance(model, fitted, context)).toBeLessThan(
      await distance(model, plain, context),
    )
  })
})
