import { describe, expect, it } from '@jest/globals'
import { prepareChannels } from '../../channels/prepare.ts'
import { architectureOptions, buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { layersOf } from '../../onnx/layers.ts'
import { loadModel } from '../../onnx/load.ts'
import { countMacs } from '../../onnx/multiplications.ts'
import { countParameters } from '../../onnx/parameters.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements } from '../../onnx/tensor.ts'
import { predict } from '../../runtime/predict.ts'
import { prune } from '../../stages/prune/index.ts'
import type { Artifact } from '../../stages/stage.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'
import { classes, contextOf, data, shape } from './support.ts'

const lenet = buildArchitecture(
  architectureOptions.parse({ architecture: 'lenet', channels: [8, 12] }),
  { ...oneInput(shape, classes), seed: 1 },
)
const resnet = buildArchitecture(
  { architecture: 'resnet', depth: 8, width: 8 },
  { ...oneInput(shape, classes), seed: 1 },
)

const { context, messages } = contextOf(resnet)

/** Prunes as a recipe would say it. */
const pruned = (model: Model, options: object): Promise<Artifact> =>
  prune.run(
    { model, facts: {} },
    prune.options.parse({ stage: 'prune', structure: 'channels', ...options }),
    context,
  )

const macsOf = async (model: Model): Promise<number> => countMacs(await prepareChannels(model))!
const parametersOf = (model: Model): number => countParameters(model).parameters

describe('pruning channels', () => {
  it.each(['l1', 'l2', 'taylor'])('by %s meets a target of MACs from below', async (criterion) => {
    const { model, facts } = await pruned(resnet, { criterion, target: { macs: 0.5 } })
    const share = (await macsOf(model)) / (await macsOf(resnet))
    expect(share).toBeLessThanOrEqual(0.5)
    expect(share).toBeGreaterThan(0.47)
    expect(facts.summary).toMatch(
      /^cut \d+ of \d+ channels, (4[789]\.\d|50\.0) % of MACs and \d+\.\d % of parameters left$/,
    )
    const { outputs } = await predict(model, data.test)
    expect(outputs).toHaveLength(64 * classes)
  })

  it('meets a target of parameters from below', async () => {
    const { model } = await pruned(lenet, { target: { parameters: 0.4 } })
    const share = parametersOf(model) / parametersOf(lenet)
    expect(share).toBeLessThanOrEqual(0.4)
    expect(share).toBeGreaterThan(0.37)
  })

  it('takes the given share of the channels where the target is a sparsity', async () => {
    const { facts } = await pruned(lenet, { target: { sparsity: 0.3 }, scope: 'local' })
    expect(facts.summary).toMatch(/^cut 32 of 104 channels/)
  })

  it('cuts the channels with the smallest weights', async () => {
    const { model } = await pruned(lenet, {
      target: { sparsity: 0.5 },
      layers: [firstLayer(lenet)],
    })
    const before = filterNorms(lenet)
    const after = filterNorms(model)
    expect(after).toHaveLength(before.length / 2)
    // Each filter that stayed is one of the old ones.
    expect(before).toEqual(expect.arrayContaining(after))
  })

  it('rounds the counts that remain up to a multiple', async () => {
    const { model } = await pruned(resnet, { target: { macs: 0.6 }, round: 4 })
    const counts = layersOf(model.graph)
      .filter(({ opType }) => opType === 'Conv')
      .map(({ weight }) => weight.tensor!.dims[0]! % 4)
    expect(new Set(counts)).toEqual(new Set([0]))
    expect((await macsOf(model)) / (await macsOf(resnet))).toBeLessThanOrEqual(0.6)
  })

  it('keeps a share of every group', async () => {
    const { model } = await pruned(lenet, { target: { sparsity: 0.38 }, keep: 0.6 })
    const filters = layersOf(model.graph).filter(({ opType }) => opType === 'Conv')
    expect(filters.map(({ weight }) => weight.tensor!.dims[0])).toEqual([5, 8])
  })

  it('leaves excluded layers alone', async () => {
    const name = firstLayer(lenet)
    const { model } = await pruned(lenet, { target: { macs: 0.6 }, exclude: [name] })
    expect(layersOf(model.graph)[0]!.weight.tensor!.dims).toEqual([8, 1, 5, 5])
  })

  it('writes one line for every group that it cuts', async () => {
    messages.length = 0
    await pruned(lenet, { target: { sparsity: 0.5 }, layers: [firstLayer(lenet)] })
    expect(messages).toEqual([`${firstLayer(lenet)}: 8 → 4 channels`])
  })

  it('gives the same bytes for the same seed, and never changes its input', async () => {
    const before = serializeModel(resnet)
    const options = { criterion: 'taylor', target: { macs: 0.5 } }
    const [one, two] = [await pruned(resnet, options), await pruned(resnet, options)]
    expect(serializeModel(one.model)).toEqual(serializeModel(two.model))
    expect(serializeModel(resnet)).toEqual(before)
    expect(one.model.graph.inputs[0]!.type).toEqual(resnet.graph.inputs[0]!.type)
    expect(one.model.graph.outputs[0]!.type).toEqual(resnet.graph.outputs[0]!.type)
  })

  it('recovers with labels where it is asked to', async () => {
    const options = prune.options.parse({
      stage: 'prune',
      structure: 'channels',
      target: { macs: 0.5 },
      recover: { labels: true, epochs: 3, batch: 16, optimizer: { name: 'adamw', rate: 0.01 } },
    })
    const { model, facts } = await prune.run({ model: resnet, facts: {} }, options, context)
    expect(facts.losses).toEqual(context.task.losses)
    expect(facts.epochs).toHaveLength(3)
    expect(facts.epochs!.at(-1)!.score).toBeGreaterThan(0.9)
    expect(facts.summary).toMatch(/^cut .* left; trained 3 epochs/)
    expect((await macsOf(model)) / (await macsOf(resnet))).toBeLessThanOrEqual(0.5)
  })

  it.each([
    [{ target: { macs: 0.001 } }, /^target\.macs: cannot be reached: 0\.001 — 0\.\d+ is the/],
    [{ target: { sparsity: 0.99 } }, /^target\.sparsity: cannot be reached: 0\.99 — 0\.\d+ is/],
    [{ target: { macs: 0.5 }, exclude: ['nothing'] }, /^exclude: matches no layer: 'nothing'/],
    [{ target: { macs: 0.5 }, layers: ['op:LSTM'] }, /^layers: matches no layer: 'op:LSTM'/],
    [
      { target: { macs: 0.5 }, exclude: ['*'] },
      /^no channels can be cut: all \d+ groups are left out — /,
    ],
    [
      { target: { macs: 0.5 }, layers: ['classifier'] },
      /'classifier': output 'logits' of the model/,
    ],
  ])('says what is wrong with %j', async (options, message) => {
    await expect(pruned(resnet, options)).rejects.toThrow(message)
  })

  itWithShared('halves the MACs of a real network, whose file still runs', async () => {
    const model = await loadModel(sharedModel('conv-distiller-resnet20-dense-cifar10.onnx'))
    const { model: smaller } = await pruned(model, { target: { macs: 0.5 } })
    const share = (await macsOf(smaller)) / (await macsOf(model))
    expect(share).toBeLessThanOrEqual(0.5)
    expect(share).toBeGreaterThan(0.49)
  })
})

describe('pruning weights', () => {
  const weights = (options: object) => ({ structure: 'weights', ...options })

  it('zeroes the smallest weights of the whole model, and nothing else', async () => {
    const { model, facts } = await pruned(resnet, weights({ target: { sparsity: 0.75 } }))
    const before = layersOf(resnet.graph).flatMap(({ weight }) => floatsOf(weight.tensor!))
    const after = layersOf(model.graph).flatMap(({ weight }) => floatsOf(weight.tensor!))
    const left = after.filter((value) => value !== 0).map(Math.abs)
    const gone = before.filter((_, index) => after[index] === 0).map(Math.abs)
    expect(gone).toHaveLength(Math.round(0.75 * before.length))
    expect(Math.max(...gone)).toBeLessThanOrEqual(Math.min(...left))
    expect(after.every((value, index) => value === 0 || value === before[index])).toBe(true)
    expect(facts.summary).toBe(
      `zeroed ${gone.length} of ${before.length} weights in ${layersOf(resnet.graph).length} layers`,
    )
    expect(parametersOf(model)).toBe(parametersOf(resnet))
  })

  it('zeroes the same share of every layer where the scope is local', async () => {
    const options = weights({ target: { sparsity: 0.5 }, scope: 'local' })
    const { model } = await pruned(lenet, options)
    for (const { weight } of layersOf(model.graph)) {
      const values = floatsOf(weight.tensor!)
      const zeros = values.filter((value) => value === 0).length
      expect(zeros).toBe(Math.round(values.length / 2))
    }
  })

  it('keeps the zeros through recovery, while the others learn', async () => {
    const options = weights({ target: { sparsity: 0.8 }, recover: { epochs: 2, batch: 32 } })
    const { model } = await pruned(resnet, options)
    const [plain] = [await pruned(resnet, weights({ target: { sparsity: 0.8 } }))]
    for (const [index, { weight }] of layersOf(model.graph).entries()) {
      const [learned, zeroed] = [weight, layersOf(plain.model.graph)[index]!.weight].map((value) =>
        floatsOf(value.tensor!),
      )
      for (const [at, value] of zeroed!.entries()) if (value === 0) expect(learned![at]).toBe(0)
      expect(learned).not.toEqual(zeroed)
    }
  })

  it('leaves excluded layers alone', async () => {
    const name = firstLayer(lenet)
    const options = weights({ target: { sparsity: 0.9 }, exclude: [name] })
    const { model } = await pruned(lenet, options)
    expect(floatsOf(layersOf(model.graph)[0]!.weight.tensor!)).toEqual(
      floatsOf(layersOf(lenet.graph)[0]!.weight.tensor!),
    )
  })

  itWithShared('finds weights that nodes reshape first', async () => {
    const model = await loadModel(sharedModel('mnist-8-ortweb.onnx'))
    const { facts } = await pruned(model, weights({ target: { sparsity: 0.5 } }))
    // Filters of 8 x 25 and 16 x 200 weights and a matrix of 256 x 10.
    expect(facts.summary).toBe('zeroed 2980 of 5960 weights in 3 layers')
  })

  it('says so where nothing is left to prune', async () => {
    await expect(
      pruned(lenet, weights({ target: { sparsity: 0.9 }, exclude: ['*'] })),
    ).rejects.toThrow('no float32 weights to prune')
  })
})

describe('the options of pruning', () => {
  it.each([
    [{ structure: 'channels', target: {} }, 'expected exactly one'],
    [{ structure: 'channels', target: { macs: 0.5, sparsity: 0.5 } }, 'expected exactly one'],
    [{ structure: 'channels', target: { macs: 1 } }, '<1'],
    [
      { structure: 'channels', criterion: 'magnitude', target: { macs: 0.5 } },
      "'magnitude' scores no channels; these do: l1, l2,",
    ],
    [
      { structure: 'channels', criterion: 'l1', samples: 9, target: { macs: 0.5 } },
      "criterion 'l1' looks at no samples",
    ],
    [
      { structure: 'weights', criterion: 'fpgm', target: { sparsity: 0.5 } },
      "'fpgm' scores no weights; these do: l1,",
    ],
    [
      { structure: 'weights', round: 8, target: { sparsity: 0.5 } },
      "does not go with structure 'weights'",
    ],
    [
      { structure: 'weights', target: { macs: 0.5 } },
      "does not go with structure 'weights', whose file keeps its size",
    ],
    [{ structure: 'neurons', target: { sparsity: 0.5 } }, "or a pattern such as '2:4'"],
  ])('refuse %j', (options, message) => {
    const result = prune.options.safeParse({ stage: 'prune', ...options })
    expect(result.error?.issues.map((issue) => issue.message).join()).toContain(message)
  })

  it('say whether data is needed', () => {
    const target = { sparsity: 0.5 }
    const needs = (options: object) =>
      prune.dataUse(prune.options.parse({ stage: 'prune', target, ...options }))
    expect(needs({ structure: 'channels' })).toBe('never')
    expect(needs({ structure: 'weights' })).toBe('never')
    expect(needs({ structure: 'channels', criterion: 'taylor' })).toBe('always')
    expect(needs({ structure: 'weights', recover: {} })).toBe('always')
  })
})

const firstLayer = (model: Model): string => layersOf(model.graph)[0]!.name

const floatsOf = (tensor: Parameters<typeof elements>[0]): number[] => [
  ...elements(tensor, 'float32'),
]

/** Σ |w| of each filter of the first layer. */
function filterNorms(model: Model): number[] {
  const { tensor } = layersOf(model.graph)[0]!.weight
  const [filters = 1] = tensor!.dims
  const values = floatsOf(tensor!)
  const size = values.length / filters
  return Array.from({ length: filters }, (_, filter) =>
    values
      .slice(filter * size, (filter + 1) * size)
      .reduce((sum, value) => sum + Math.abs(value), 0),
  )
}
